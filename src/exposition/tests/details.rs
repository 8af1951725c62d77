//! Details beside a snapshot: what is written anew, and what is shown.

use std::sync::Arc;

use super::{
    parser::{checked, value},
    workshop::*,
};
use crate::{
    clock::UnixMillis,
    exposition::{Format, account::Rendered, press::Press},
    snapshot::{AccountState, Detail, Details, Endpoint, Snapshot},
    telemetry::catalogue::{Metric, Part},
};

const FED_BY_DETAILS: [Metric; 4] = [
    Metric::EndpointRegistrationExpiration,
    Metric::EndpointUserAgentInfo,
    Metric::EndpointDetailTimestamp,
    Metric::EndpointContactInfo,
];

/// What every endpoint of the snapshot says of itself.
fn details(snapshot: &Snapshot, expires_at: UnixMillis) -> Details {
    let own = snapshot.endpoints().map(|row| {
        let record = Endpoint {
            id: row.id.to_owned(),
            registered: Some(true),
            expires_at: Some(expires_at),
            user_agent: Some("Zoiper".to_owned()),
            ..Endpoint::default()
        };
        (row.id.into(), Detail::new(record, &row, true, at(90)))
    });
    Details::default().with(own)
}

/// An account whose list says nothing about registrations but that they are there.
fn silent() -> (AccountState, Arc<Snapshot>) {
    let bare = desks(200).map(|desk| Endpoint {
        registered: Some(true),
        expires_at: None,
        user_agent: None,
        ..desk
    });
    let snapshot = snapshot(bare, None, facts(0));
    (good("main", Arc::clone(&snapshot)), snapshot)
}

#[tokio::test(start_paused = true)]
async fn details_that_arrive_write_only_their_own_families_anew() {
    let (state, snapshot) = silent();
    let mut press = Press::new();
    let before = Rendered::new(&state, None, &mut press);
    let with = AccountState {
        details: Arc::new(details(&snapshot, at(120))),
        ..state.clone()
    };
    let after = Rendered::new(&with, Some(&before), &mut press);
    let now = tokio::time::Instant::now();
    let place = |rendered: &Rendered, metric| {
        let fragment = rendered.family(metric, now);
        fragment.map(|fragment| fragment.bytes().as_ptr())
    };
    let mut kept = 0;
    for metric in Metric::ALL {
        let (old, new) = (place(&before, *metric), place(&after, *metric));
        if FED_BY_DETAILS.contains(metric) {
            assert!(new.is_none() || new != old, "{metric:?}");
        } else if metric.family().part == Part::Snapshot {
            assert_eq!(old, new, "{metric:?}");
            kept += usize::from(old.is_some());
        }
    }
    assert!(kept > 5);
    let again = Rendered::new(&with, Some(&after), &mut press);
    for metric in FED_BY_DETAILS {
        assert_eq!(
            place(&after, metric),
            place(&again, metric),
            "the same details"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_details_add_is_shown_counted_and_withheld_with_the_snapshot() {
    let (state, snapshot) = silent();
    let state = AccountState {
        details: Arc::new(details(&snapshot, at(120))),
        details_pending: 7,
        ..state
    };
    let (exposition, _publishers) = exposition([state]);
    let samples = checked(&unpacked(&exposition, Format::OpenMetrics));
    let series = |name: &str| samples.iter().filter(|sample| sample.name == name).count();
    for metric in &FED_BY_DETAILS[..3] {
        assert_eq!(series(metric.family().name), 200, "{metric:?}");
    }
    let main = [("account", "main")];
    assert_eq!(value(&samples, "vobiz_details_pending", &main), Some("7"));
    let told = value(&samples, "vobiz_exporter_series", &main).unwrap();
    let counted = samples.iter().filter(|sample| {
        let part = Metric::named(&sample.name).map(|metric| metric.family().part);
        matches!(part, Some(Part::Snapshot | Part::Walk))
    });
    assert_eq!(told, counted.count().to_string());

    tokio::time::advance(MAX_AGE).await;
    let samples = checked(&unpacked(&exposition, Format::Text));
    let any = samples
        .iter()
        .any(|sample| sample.name.contains("detail_timestamp"));
    assert!(!any, "a detail does not outlive its snapshot");
    assert_eq!(value(&samples, "vobiz_details_pending", &main), Some("7"));
}
