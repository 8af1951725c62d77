//! The content of expositions with few and many accounts and endpoints.

use std::sync::Arc;

use super::{
    fixtures::*,
    parser::{checked, value},
};
use crate::{
    exposition::{Encoding, Format, account::RenderedAccount},
    snapshot::{AccountState, Application, Endpoint, Field, Shown},
};

#[tokio::test(start_paused = true)]
async fn a_gzip_body_inflates_to_the_plain_one_for_every_fleet() {
    let large = snapshot(phones(3_000), None, facts(0));
    let small = snapshot(phones(45), None, facts(0));
    let empty = snapshot([], None, facts(0));
    let fleets: Vec<Vec<AccountState>> = vec![
        vec![],
        vec![fresh("new")],
        vec![good("empty", empty)],
        vec![good("small", Arc::clone(&small))],
        vec![good("large", Arc::clone(&large))],
        vec![
            fresh("a"),
            good("large", large),
            good("small", Arc::clone(&small)),
        ],
        (0..300)
            .map(|number| good(&format!("account-{number}"), Arc::clone(&small)))
            .collect(),
    ];
    for fleet in fleets {
        let endpoints: usize = fleet
            .iter()
            .filter_map(|state| state.snapshot.as_ref())
            .map(|snapshot| snapshot.len())
            .sum();
        let (exposition, _publishers) = exposition(fleet);
        for format in [Format::Text, Format::OpenMetrics] {
            let plain = text(&exposition, format);
            assert!(inflated(&exposition, format) == plain);
            assert_eq!(plain.ends_with("# EOF\n"), format == Format::OpenMetrics);
            let samples = checked(&plain);
            let infos = samples
                .iter()
                .filter(|sample| sample.name == "vobiz_endpoint_info");
            assert_eq!(infos.count(), endpoints);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_gzip_body_has_few_pieces_for_every_fleet() {
    let large = snapshot(phones(10_000), None, facts(0));
    let small = snapshot(phones(45), None, facts(0));
    let many = (0..300).map(|number| good(&number.to_string(), Arc::clone(&small)));
    let (of_large, _publishers) = exposition([good("main", large)]);
    let (of_many, _publishers) = exposition(many);
    for exposition in [of_large, of_many] {
        let body = exposition.body(Format::OpenMetrics, Encoding::Gzip);
        let pieces = body.pieces.count();
        assert!((2..=25).contains(&pieces), "{pieces}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_counts_of_an_account_add_up_to_its_endpoints() {
    let (exposition, _publishers) =
        exposition([good("main", snapshot(phones(100), None, facts(0)))]);
    let samples = checked(&text(&exposition, Format::Text));
    for name in [
        "vobiz_endpoints",
        "vobiz_application_endpoints",
        "vobiz_group_endpoints",
        "vobiz_sub_account_endpoints",
    ] {
        let counts = samples.iter().filter(|sample| sample.name == name);
        let sum: u64 = counts
            .map(|sample| sample.value.parse::<u64>().unwrap())
            .sum();
        assert_eq!(sum, 100, "{name}");
    }
    let gauges_of_account = samples
        .iter()
        .filter(|sample| sample.label("account") == "main")
        .filter(|sample| !sample.name.contains("_total") && !sample.name.contains("_request_"))
        .count();
    let exported = value(&samples, "vobiz_exporter_series", &[]);
    assert_eq!(exported, Some(gauges_of_account.to_string().as_str()));
}

#[tokio::test(start_paused = true)]
async fn without_usernames_no_sample_has_the_label() {
    let state = AccountState {
        shown: Arc::new(Shown {
            username: false,
            ..shown()
        }),
        ..good("main", snapshot(phones(3), None, facts(0)))
    };
    let (exposition, _publishers) = exposition([state]);
    let text = text(&exposition, Format::Text);
    assert!(!text.contains("username=\""), "{text}");
    assert!(!text.contains("phone1\""), "{text}");
}

#[tokio::test(start_paused = true)]
async fn an_application_without_an_id_is_attached_but_has_no_name_of_its_own() {
    let attached = |id: &str, application: Option<&str>| Endpoint {
        id: id.to_owned(),
        application: application.map(|id| Application {
            id: id.to_owned(),
            name: Some("Support".to_owned()),
        }),
        ..Endpoint::default()
    };
    let mut unreadable = attached("4", None);
    unreadable.rejected.insert(Field::Application);
    let endpoints = [
        attached("1", Some("")),
        attached("2", None),
        attached("3", Some("7")),
        unreadable,
    ];
    let (exposition, _publishers) = exposition([good("main", snapshot(endpoints, None, facts(0)))]);
    let samples = checked(&text(&exposition, Format::Text));
    let assigned = |id| {
        let name = "vobiz_endpoint_application_assigned";
        value(&samples, name, &[("endpoint_id", id)])
    };
    assert_eq!(
        ["1", "2", "3", "4"].map(assigned),
        [Some("1"), Some("0"), Some("1"), None]
    );
    let named: Vec<_> = samples
        .iter()
        .filter(|sample| sample.name == "vobiz_application_info")
        .map(|sample| {
            (
                sample.label("application_id"),
                sample.label("application_name"),
            )
        })
        .collect();
    assert_eq!(named, [("7", "Support")]);
}

#[test]
fn a_body_can_be_sent_from_any_thread() {
    fn from_any_thread<T: Send + Unpin + 'static>() {}
    from_any_thread::<crate::exposition::EncodedBody>();
}

#[tokio::test(start_paused = true)]
async fn a_plain_body_comes_in_small_portions_and_knows_its_length() {
    let (exposition, _publishers) =
        exposition([good("main", snapshot(phones(3_000), None, facts(0)))]);
    let body = exposition.body(Format::Text, Encoding::Identity);
    let mut left = body.length;
    for piece in body.pieces {
        assert!((1..=64 * 1024).contains(&piece.len()), "{}", piece.len());
        left -= piece.len() as u64;
    }
    assert_eq!(left, 0);
}

#[tokio::test(start_paused = true)]
async fn an_account_whose_rendering_panics_does_not_affect_the_others() {
    let names = ["a", "b", "c"];
    let empty = snapshot([], None, facts(0));
    let states = names.map(|name| good(name, Arc::clone(&empty)));
    let (exposition, _publishers) = exposition(states.clone());
    let failed = states
        .iter()
        .map(|state| Arc::new(failed(state, "timeout")));
    let batch = failed.enumerate().collect();
    exposition.update(batch, |state, last, writer| {
        assert_ne!(&*state.account, "b", "for this test");
        RenderedAccount::new(state, last, writer)
    });
    let samples = checked(&text(&exposition, Format::Text));
    let up = names.map(|name| value(&samples, "vobiz_up", &[("account", name)]));
    assert_eq!(up, [Some("0"), Some("1"), Some("0")]);
}
