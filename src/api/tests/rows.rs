//! Tests of rows with every known form of every value.

use super::*;

#[test]
fn an_id_is_text_with_all_its_digits() {
    for id in [
        r#""147322537258167""#,
        "147322537258167",
        r#""0012""#,
        "123456789012345678901234567890",
        "-5",
    ] {
        let endpoint = read_record(&format!(r#"{{"endpoint_id":{id}}}"#)).unwrap();
        assert_eq!(endpoint.id, id.trim_matches('"'));
    }
    let longest = "x".repeat(128);
    assert_eq!(
        read_record(&format!(r#"{{"endpoint_id":"{longest}"}}"#))
            .unwrap()
            .id,
        longest
    );
}

#[test]
fn registration_is_read_in_every_spelling_and_unknown_is_not_false() {
    for (written, expected, counted) in [
        (r#""true""#, Some(true), false),
        (r#""True""#, Some(true), false),
        (r#"" FALSE ""#, Some(false), false),
        (r#""false""#, Some(false), false),
        ("true", Some(true), false),
        ("false", Some(false), false),
        ("1", Some(true), false),
        ("0", Some(false), false),
        (r#""1""#, Some(true), false),
        ("null", None, false),
        (r#""""#, None, false),
        (r#""registered""#, None, true),
        ("2", None, true),
        ("1.0", None, true),
        ("{}", None, true),
        ("[true]", None, true),
    ] {
        let endpoint = with(&format!(
            r#","sip_registered":{written},"allow_apps":{written}"#
        ));
        assert_eq!(endpoint.registered, expected, "{written}");
        assert_eq!(
            endpoint.rejected.contains(Field::SipRegistered),
            counted,
            "{written}"
        );
        assert_eq!(endpoint.allowed[6], expected, "{written}");
        assert_eq!(
            endpoint.rejected.contains(Field::Allow),
            counted,
            "{written}"
        );
    }
    let absent = with("");
    assert_eq!((absent.registered, absent.allowed), (None, [None; 7]));
    assert_eq!(absent.rejected, Fields::default());
}

#[test]
fn an_application_is_read_in_every_form() {
    let long = "7".repeat(300);
    for (written, expected) in [
        ("null", None),
        (r#""""#, None),
        (
            r#""/v1/Account/MA_1/Application/12345678901234567/""#,
            application("12345678901234567", None),
        ),
        (
            r#""/v1/Account/MA_1/Application/12345678901234567""#,
            application("12345678901234567", None),
        ),
        (
            r#""/api/v1/Account/MA_1/Application/7/""#,
            application("7", None),
        ),
        (
            r#""https://api.example/api/v1/Account/MA_1/Application/7/""#,
            application("7", None),
        ),
        (
            r#""12345678901234567""#,
            application("12345678901234567", None),
        ),
        ("12345678901234567", application("12345678901234567", None)),
        (
            r#"{"app_id":"7","app_name":"Support"}"#,
            application("7", Some("Support")),
        ),
        (
            r#"{"app_name":"Support","answer_url":"https://x","app_id":12345678901234567}"#,
            application("12345678901234567", Some("Support")),
        ),
        (
            r#"{"app_name":"Support"}"#,
            application("", Some("Support")),
        ),
        (r#"{"app_id":null,"app_name":""}"#, application("", None)),
        ("{}", application("", None)),
    ] {
        let endpoint = with(&format!(r#","application":{written}"#));
        assert_eq!(endpoint.application, expected, "{written}");
        assert_eq!(endpoint.rejected, Fields::default(), "{written}");
    }
    for (written, expected) in [
        ("true", None),
        ("[]", None),
        ("1.5", None),
        (r#""/""#, None),
        (r#""/v1/Account/MA_1/Application/""#, None),
        (r#"{"app_id":[7]}"#, application("", None)),
        (&format!(r#""{long}""#), application(&long[..256], None)),
        (
            &format!(r#"{{"app_id":1,"app_name":"{long}"}}"#),
            application("1", Some(&long[..256])),
        ),
    ] {
        let endpoint = with(&format!(r#","application":{written}"#));
        assert_eq!(endpoint.application, expected, "{written}");
        assert_eq!(
            endpoint.rejected,
            fields(&[Field::Application]),
            "{written}"
        );
    }
    assert_eq!(with("").application, None);
}

#[test]
fn a_sub_account_is_read_in_every_form() {
    for (written, expected, counted) in [
        ("null", None, false),
        (r#""""#, None, false),
        (r#""SA_12345678""#, Some("SA_12345678"), false),
        (r#""k3jd9ah2""#, Some("k3jd9ah2"), false),
        (
            r#""/v1/Account/MA_1/Subaccount/SA_1/""#,
            Some("SA_1"),
            false,
        ),
        (
            r#"{"id":"5","auth_id":"SA_1","auth_token":"t"}"#,
            Some("SA_1"),
            false,
        ),
        (r#"{"id":"5"}"#, None, true),
        ("[]", None, true),
        (r#""/v1/Account/MA_1/Subaccount/""#, None, true),
    ] {
        let endpoint = with(&format!(r#","sub_account":{written}"#));
        assert_eq!(endpoint.sub_account.as_deref(), expected, "{written}");
        assert_eq!(
            endpoint.rejected.contains(Field::SubAccount),
            counted,
            "{written}"
        );
    }
}

#[test]
fn times_are_read_in_every_form() {
    let exact = [
        ("2025-10-28T11:30:00Z", "2025-10-28T11:30:00Z"),
        ("2025-10-28T11:30:00.5Z", "2025-10-28T11:30:00.5Z"),
        ("2025-10-28T11:30:00.123Z", "2025-10-28T11:30:00.123Z"),
        ("2025-10-28T11:30:00.123456Z", "2025-10-28T11:30:00.123456Z"),
        (
            "2025-10-28T11:30:00.1234567Z",
            "2025-10-28T11:30:00.1234567Z",
        ),
        (
            "2025-10-28T11:30:00.12345678901234Z",
            "2025-10-28T11:30:00.123Z",
        ),
        ("2025-10-28T11:30:00+00:00", "2025-10-28T11:30:00Z"),
        ("2025-10-28T17:00:00+05:30", "2025-10-28T11:30:00Z"),
        ("2025-10-28T17:00:00+0530", "2025-10-28T11:30:00Z"),
        (
            "2026-04-02 12:11:19.740666+00:00",
            "2026-04-02T12:11:19.740666Z",
        ),
        ("2025-10-28 11:30:00Z", "2025-10-28T11:30:00Z"),
        (" 2025-10-28t11:30:00z ", "2025-10-28T11:30:00Z"),
        ("9999-12-30T00:00:00Z", "9999-12-30T00:00:00Z"),
    ];
    let assumed = [
        ("2014-07-21 19:26:08", "2014-07-21T19:26:08Z"),
        ("2014-07-21T19:26:08.25", "2014-07-21T19:26:08.25Z"),
        ("2025-10-28", "2025-10-28T00:00:00Z"),
    ];
    let all = exact.map(|form| (form, false)).into_iter();
    for ((written, meant), is_assumed) in all.chain(assumed.map(|form| (form, true))) {
        let endpoint = with(&format!(
            r#","sip_expires":"{written}","created_at":"{written}","updated_at":"{written}""#
        ));
        let times = [
            endpoint.expires_at,
            endpoint.created_at,
            endpoint.updated_at,
        ];
        assert_eq!(times, [at(meant); 3], "{written}");
        let three = fields(&[Field::SipExpires, Field::CreatedAt, Field::UpdatedAt]);
        let expected = if is_assumed { three } else { Fields::default() };
        assert_eq!(
            (endpoint.assumed, endpoint.rejected),
            (expected, Fields::default()),
            "{written}"
        );
    }
}

#[test]
fn a_value_that_is_no_time_is_dropped_and_counted() {
    for written in [
        "1761651000",
        "1761651000.5",
        r#""1761651000""#,
        r#""3600""#,
        "3600",
        r#""20251028""#,
        r#""20251028T113000Z""#,
        r#""soon""#,
        r#""never""#,
        r#""2025-13-40T00:00:00Z""#,
        r#""2025-10-28T25:00:00Z""#,
        r#""2025-10-28T11:30:00+99:99""#,
        r#""292277026596-12-04T15:30:08Z""#,
        r#""+99999-01-01T00:00:00Z""#,
        r#""-009999-01-01T00:00:00Z""#,
        r#""0001-01-01T00:00:00Z""#,
        r#""1970-01-01T00:00:00Z""#,
        r#""2025-10-2é""#,
        "true",
        "{}",
        "[]",
    ] {
        let endpoint = with(&format!(r#","sip_expires":{written}"#));
        assert_eq!(endpoint.expires_at, None, "{written}");
        assert_eq!(endpoint.rejected, fields(&[Field::SipExpires]), "{written}");
        assert_eq!(endpoint.assumed, Fields::default(), "{written}");
    }
    for absent in ["", r#","sip_expires":null"#, r#","sip_expires":"""#] {
        let endpoint = with(absent);
        assert_eq!(
            (endpoint.expires_at, endpoint.rejected),
            (None, Fields::default())
        );
    }
}

#[test]
fn registration_details_fill_only_absent_fields() {
    let details = r#""sip_registration":{"contact":"c2","expires":"2025-10-28T12:00:00Z",
        "user_agent":"u2","received":"r2","path":null}"#;
    let filled = with(&format!(
        r#","sip_contact":null,"sip_user_agent":"",{details}"#
    ));
    assert_eq!(filled.expires_at, at("2025-10-28T12:00:00Z"));
    assert_eq!(
        (filled.contact, filled.user_agent),
        (text("c2"), text("u2"))
    );
    assert_eq!(filled.received, text("r2"));
    let kept = with(&format!(
        r#",{details},"sip_contact":"c1","sip_user_agent":"u1","sip_expires":"2025-10-28T11:00:00Z""#
    ));
    assert_eq!(kept.expires_at, at("2025-10-28T11:00:00Z"));
    assert_eq!((kept.contact, kept.user_agent), (text("c1"), text("u1")));
    for empty in ["null", "{}", "[]", r#""x""#] {
        assert_eq!(
            with(&format!(r#","sip_registration":{empty}"#)),
            with(""),
            "{empty}"
        );
    }
}

#[test]
fn the_expiry_is_kept_also_for_an_unregistered_endpoint() {
    let endpoint = with(r#","sip_registered":"false","sip_expires":"2001-01-01T00:00:00Z""#);
    assert_eq!(endpoint.registered, Some(false));
    assert_eq!(endpoint.expires_at, at("2001-01-01T00:00:00Z"));
}

#[test]
fn text_is_kept_as_it_is_and_cut_at_a_character() {
    let odd = with(r#","alias":"O'Brien \"x\" \\ \n \u00e9 😀 \ud83d\ude00","username":1001"#);
    assert_eq!(odd.alias, text("O'Brien \"x\" \\ \n é 😀 😀"));
    assert_eq!(odd.username, text("1001"));
    assert_eq!(odd.rejected, Fields::default());

    let long = "é".repeat(200);
    let cut = with(&format!(r#","alias":"x{long}","username":"{long}""#));
    assert_eq!(cut.alias, Some(format!("x{}", "é".repeat(127))));
    assert_eq!(cut.username, Some("é".repeat(128)));
    assert_eq!(cut.rejected, fields(&[Field::Alias, Field::Username]));

    let wrong = with(r#","alias":["a"],"username":{},"sip_contact":true,"sip_user_agent":"""#);
    assert_eq!(
        (wrong.alias, wrong.username, wrong.contact, wrong.user_agent),
        (None, None, None, None)
    );
    assert_eq!(
        wrong.rejected,
        fields(&[Field::Alias, Field::Username, Field::SipContact])
    );
}

#[test]
fn a_password_is_not_kept() {
    let endpoint =
        with(r#","password":"5f4dcc3b5aa765d6","alias":"a","auth_secret":"5f4dcc3b5aa765d6""#);
    assert_eq!(endpoint, with(r#","alias":"a""#));
    assert!(!format!("{endpoint:?}").contains("5f4dcc3b5aa765d6"));
}

#[test]
fn of_a_repeated_key_the_last_value_counts() {
    let endpoint =
        read_record(r#"{"endpoint_id":"1","alias":"a","alias":"b","endpoint_id":"2"}"#).unwrap();
    assert_eq!((endpoint.id.as_str(), endpoint.alias), ("2", text("b")));
}
