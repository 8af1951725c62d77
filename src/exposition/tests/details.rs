//! Tests of details: which families the exporter renders again, and which samples it exports.

use std::sync::Arc;

use super::{
    fixtures::*,
    parser::{checked, value},
};
use crate::{
    clock::UnixMillis,
    exposition::{Format, account::RenderedAccount, lines::FamilyWriter},
    snapshot::{AccountState, Detail, Details, Endpoint, Snapshot},
    telemetry::catalogue::{Metric, Part},
};

const DETAIL_FAMILIES: [Metric; 4] = [
    Metric::EndpointRegistrationExpiration,
    Metric::EndpointUserAgentInfo,
    Metric::EndpointDetailTimestamp,
    Metric::EndpointContactInfo,
];

/// Details of every endpoint of the snapshot, with the expiry `expires_at`.
fn details(snapshot: &Snapshot, expires_at: UnixMillis) -> Details {
    let details = snapshot.endpoints().map(|row| {
        let record = Endpoint {
            id: row.id.to_owned(),
            registered: Some(true),
            expires_at: Some(expires_at),
            user_agent: Some("Zoiper".to_owned()),
            ..Endpoint::default()
        };
        let detail = Detail::new(record, &row, true, at(90));
        (row.id.into(), Arc::new(detail))
    });
    details.collect()
}

/// An account whose list contains no expiries and no user agents.
fn without_expiries() -> (AccountState, Arc<Snapshot>) {
    let bare = phones(200).map(|phone| Endpoint {
        registered: Some(true),
        expires_at: None,
        user_agent: None,
        ..phone
    });
    let snapshot = snapshot(bare, None, facts(0));
    (good("main", Arc::clone(&snapshot)), snapshot)
}

#[tokio::test(start_paused = true)]
async fn new_details_render_only_the_families_that_depend_on_them() {
    let (state, snapshot) = without_expiries();
    let mut writer = FamilyWriter::default();
    let before = RenderedAccount::new(&state, None, &mut writer);
    let with = AccountState {
        details: Arc::new(details(&snapshot, at(120))),
        ..state.clone()
    };
    let after = RenderedAccount::new(&with, Some(&before), &mut writer);
    let now = tokio::time::Instant::now();
    let place = |rendered: &RenderedAccount, metric| {
        let chunk = rendered.chunk(metric, now);
        chunk.map(|chunk| chunk.bytes.as_ptr())
    };
    let mut kept = 0;
    for metric in Metric::ALL {
        let (old, new) = (place(&before, *metric), place(&after, *metric));
        if DETAIL_FAMILIES.contains(metric) {
            assert!(new.is_none() || new != old, "{metric:?}");
        } else if metric.family().part == Part::Snapshot {
            assert_eq!(old, new, "{metric:?}");
            kept += usize::from(old.is_some());
        }
    }
    assert!(kept > 5);
    let again = RenderedAccount::new(&with, Some(&after), &mut writer);
    for metric in DETAIL_FAMILIES {
        assert_eq!(
            place(&after, metric),
            place(&again, metric),
            "the same details"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn detail_families_are_exported_counted_and_withdrawn_with_the_snapshot() {
    let (state, snapshot) = without_expiries();
    let state = AccountState {
        details: Arc::new(details(&snapshot, at(120))),
        details_pending: 7,
        ..state
    };
    let (exposition, _publishers) = exposition([state]);
    let samples = checked(&inflated(&exposition, Format::OpenMetrics));
    let series = |name: &str| samples.iter().filter(|sample| sample.name == name).count();
    for metric in &DETAIL_FAMILIES[..3] {
        assert_eq!(series(metric.family().name), 200, "{metric:?}");
    }
    let main = [("account", "main")];
    assert_eq!(value(&samples, "vobiz_details_pending", &main), Some("7"));
    let exported = value(&samples, "vobiz_exporter_series", &main).unwrap();
    let counted = samples.iter().filter(|sample| {
        let part = Metric::named(&sample.name).map(|metric| metric.family().part);
        matches!(part, Some(Part::Snapshot | Part::Walk | Part::Judgement))
    });
    assert_eq!(exported, counted.count().to_string());

    tokio::time::advance(MAX_AGE).await;
    let samples = checked(&inflated(&exposition, Format::Text));
    let any = samples
        .iter()
        .any(|sample| sample.name.contains("detail_timestamp"));
    assert!(!any, "a detail does not outlive its snapshot");
    assert_eq!(value(&samples, "vobiz_details_pending", &main), Some("7"));
}
