//! Names and passwords of requests.

use std::{
    net::{IpAddr, Ipv6Addr},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use futures_util::{FutureExt, StreamExt, stream::FuturesUnordered};
use http::HeaderValue;
use tokio::time::timeout;

use super::*;
use crate::web_config::{
    Authentication, Settings,
    passwords::{PasswordChecks, Users},
};

fn basic(credentials: &str) -> HeaderValue {
    HeaderValue::try_from(format!("Basic {}", STANDARD.encode(credentials))).unwrap()
}

async fn authenticates(settings: &Arc<Settings>, credentials: &str) -> bool {
    let result = settings.authenticate(Some(&basic(credentials)), None).await;
    result == Authentication::Accepted
}

fn with_users() -> Arc<Settings> {
    let folder = Folder::new();
    let other = bcrypt::hash("a:b", 4).unwrap();
    let text = format!("basic_auth_users:\n  ann: {}\n  bob: {other}\n", hash());
    folder.load(&text).unwrap().0.current()
}

#[tokio::test]
async fn without_users_every_request_is_accepted() {
    let folder = Folder::new();
    let settings = folder.load("basic_auth_users: {}\n").unwrap().0.current();
    assert_eq!(
        settings.authenticate(None, None).await,
        Authentication::Accepted
    );
    assert!(authenticates(&settings, "x:y").await);
}

#[tokio::test]
async fn only_the_name_and_password_of_a_user_are_accepted() {
    let settings = with_users();
    // The second round gets its results from memory.
    for _ in 0..2 {
        assert!(authenticates(&settings, "ann:correct horse").await);
        assert!(authenticates(&settings, "bob:a:b").await);
        for wrong in [
            "ann:",
            "ann:wrong",
            ":correct horse",
            "bob:correct horse",
            "ann",
            "",
            "Ann:correct horse",
            "eve:correct horse",
            "eve:a:b",
            "ann:correct horse\0",
        ] {
            assert!(!authenticates(&settings, wrong).await, "{wrong}");
        }
    }
}

#[tokio::test]
async fn a_header_of_another_form_is_refused() {
    let settings = with_users();
    let valid = STANDARD.encode("ann:correct horse");
    assert_eq!(
        settings.authenticate(None, None).await,
        Authentication::Refused
    );
    for header in [
        format!("Bearer {valid}"),
        valid.clone(),
        "Basic".to_owned(),
        "Basic *".to_owned(),
        format!("Basic  {valid}"),
    ] {
        let header = HeaderValue::try_from(&header).unwrap();
        let result = settings.authenticate(Some(&header), None).await;
        assert_eq!(result, Authentication::Refused, "{header:?}");
    }
    let lower = HeaderValue::try_from(format!("basic {valid}")).unwrap();
    let result = settings.authenticate(Some(&lower), None).await;
    assert_eq!(result, Authentication::Accepted);
}

#[tokio::test]
async fn many_wrong_passwords_do_not_displace_a_correct_one() {
    let settings = with_users();
    assert!(authenticates(&settings, "ann:correct horse").await);
    for number in 0..150 {
        assert!(!authenticates(&settings, &format!("ann:{number}")).await);
    }
    // A comparison would hold the only permit, and a cached result needs no permit.
    let permit = settings.checks.permits.acquire().await;
    assert!(authenticates(&settings, "ann:correct horse").await);
    drop(permit);
}

#[tokio::test]
async fn a_renamed_user_is_known_by_the_new_name_alone() {
    let checks = Arc::new(PasswordChecks::new().unwrap());
    let hash = hash();
    let accepts = async |user: &str, name: &str| {
        let users = Users::from([(user.to_owned(), hash.clone())]);
        let header = basic(&format!("{name}:correct horse"));
        checks.authenticate(&users, Some(&header), None).await == Authentication::Accepted
    };
    assert!(accepts("ann", "ann").await);
    assert!(!accepts("ann", "bob").await);
    assert!(accepts("bob", "bob").await);
    assert!(!accepts("bob", "ann").await);
    assert!(accepts("ann", "ann").await);
}

#[tokio::test]
async fn requests_at_once_are_all_answered() {
    let settings = with_users();
    let requests = (0..20).map(|number| {
        let settings = Arc::clone(&settings);
        async move {
            let password = if number % 2 == 0 {
                "ann:correct horse"
            } else {
                "ann:wrong"
            };
            authenticates(&settings, password).await
        }
    });
    let answers = futures_util::future::join_all(requests).await;
    assert_eq!(answers.iter().filter(|accepted| **accepted).count(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_request_waits_for_its_turn_for_a_limited_time() {
    let settings = with_users();
    assert!(authenticates(&settings, "ann:correct horse").await);
    let permit = settings.checks.permits.acquire().await;
    let mut waiting: FuturesUnordered<_> = (0..100)
        .map(|number| {
            let settings = Arc::clone(&settings);
            async move {
                let wrong = basic(&format!("ann:{number}"));
                settings.authenticate(Some(&wrong), None).await
            }
        })
        .collect();
    assert!(waiting.next().now_or_never().is_none());
    for _ in 0..100 - 1 {
        assert_eq!(waiting.next().await, Some(Authentication::Busy));
    }
    assert!(waiting.next().now_or_never().is_none());
    // A known password does not wait.
    assert!(authenticates(&settings, "ann:correct horse").await);
    drop(permit);
    while let Some(result) = waiting.next().await {
        assert_eq!(result, Authentication::Refused);
    }
}

#[tokio::test]
async fn wrong_passwords_from_one_address_delay_no_other_address() {
    let settings = with_users();
    let permit = settings.checks.permits.acquire().await;
    let stranger: Ipv6Addr = "2001:db8::1".parse().unwrap();
    let mut wrong: FuturesUnordered<_> = (0..1_000_u16)
        .map(|number| {
            // The same client can use all these addresses.
            let client = Ipv6Addr::from_bits(stranger.to_bits() + u128::from(number));
            let settings = Arc::clone(&settings);
            async move {
                let wrong = basic(&format!("ann:{number}"));
                settings
                    .authenticate(Some(&wrong), Some(client.into()))
                    .await
            }
        })
        .collect();
    assert!(wrong.next().now_or_never().is_none(), "all wait");
    let right = basic("ann:correct horse");
    let prometheus = Some(IpAddr::from([192, 0, 2, 1]));
    let right = settings.authenticate(Some(&right), prometheus);
    drop(permit);
    // At most one wrong password is compared before the right one.
    let mut right = pin!(right);
    let mut compared = 0;
    let accepted = loop {
        tokio::select! {
            biased;
            accepted = &mut right => break accepted,
            Some(_) = wrong.next() => compared += 1,
        }
    };
    assert_eq!(accepted, Authentication::Accepted);
    assert!(compared <= 2, "{compared}");
}

#[tokio::test(start_paused = true)]
async fn an_unknown_name_needs_a_comparison_as_a_known_name_does() {
    let settings = with_users();
    let permit = settings.checks.permits.acquire().await;
    for credentials in ["ann:wrong", "eve:wrong", "\u{fffd}:wrong", ":"] {
        // No comparison can start now.
        let answer = timeout(
            Duration::from_secs(1),
            authenticates(&settings, credentials),
        );
        assert!(answer.await.is_err(), "{credentials}");
    }
    drop(permit);
    assert!(!authenticates(&settings, "eve:wrong").await);
}

#[tokio::test]
async fn a_comparison_continues_after_its_client_has_gone() {
    let settings = with_users();
    let permit = settings.checks.permits.acquire().await;
    let mut gone = Box::pin(authenticates(&settings, "ann:correct horse"));
    assert_eq!((&mut gone).now_or_never(), None);
    drop(permit);
    // This poll starts the comparison.
    let _ = (&mut gone).now_or_never();
    drop(gone);
    // The comparison has ended when the permit is free. No further comparison can start.
    let _permit = settings.checks.permits.acquire().await;
    assert!(authenticates(&settings, "ann:correct horse").await);
}
