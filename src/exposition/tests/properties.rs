//! Tests that encoding and parsing do not change label values with special characters.

use std::collections::BTreeMap;

use proptest::{collection::vec, prelude::*};

use super::{
    fixtures::*,
    parser::{checked, value},
};
use crate::{exposition::Format, snapshot::Endpoint};

/// Text with characters that have a special meaning in the text formats.
fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("\\".to_owned()),
        Just("\"".to_owned()),
        Just("\n".to_owned()),
        Just("\\n".to_owned()),
        Just("\"} 1\n".to_owned()),
        Just("# EOF\n".to_owned()),
        Just("\r\u{0}\u{7f}\u{2028}".to_owned()),
        ".{0,3}",
    ];
    vec(piece, 1..6).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn every_label_value_reads_back_as_it_was(
        account in hostile(),
        endpoints in proptest::collection::btree_map(hostile(), (hostile(), hostile(), hostile()), 1..5),
    ) {
        prop_assume!(endpoints.keys().all(|id| !id.is_empty()));
        let given: BTreeMap<_, _> = endpoints;
        let rows = given.iter().map(|(id, (username, alias, agent))| Endpoint {
            id: id.clone(),
            username: Some(username.clone()),
            alias: Some(alias.clone()),
            user_agent: Some(agent.clone()),
            registered: Some(true),
            ..Endpoint::default()
        });
        let (exposition, _publishers) = exposition([good(&account, snapshot(rows, None, facts(0)))]);
        for format in [Format::Text, Format::OpenMetrics] {
            let text = inflated(&exposition, format);
            let samples = checked(&text);
            for (id, (username, alias, agent)) in &given {
                let who = [("account", account.as_str()), ("endpoint_id", id), ("username", username)];
                let info = [&who[..], &[("alias", alias.as_str())]].concat();
                prop_assert_eq!(value(&samples, "vobiz_endpoint_info", &info), Some("1"));
                let client = [&who[..], &[("user_agent", agent.as_str())]].concat();
                prop_assert_eq!(value(&samples, "vobiz_endpoint_user_agent_info", &client), Some("1"));
                prop_assert_eq!(value(&samples, "vobiz_endpoint_registered", &who), Some("1"));
            }
        }
    }
}
