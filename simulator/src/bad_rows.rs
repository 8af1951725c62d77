//! Bad rows: invalid and unusual rows of a list, as test data for parsers.

/// One invalid or unusual row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostileRow {
    /// A description of the row.
    pub what: &'static str,
    /// The row as well-formed JSON. A JSON parser may reject deep nesting or a lone surrogate.
    pub json: String,
    /// The result that a tolerant parser must give.
    pub reading: Reading,
}

/// The result that a tolerant parser must give for a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// The parser accepts the row as an endpoint with this id.
    Kept(String),
    /// The parser rejects this row and keeps all other rows.
    Rejected,
    /// The parser may keep or reject this row. It must keep all other rows.
    Either,
}

/// Returns all invalid and unusual rows.
pub fn hostile_rows() -> Vec<HostileRow> {
    let mut rows: Vec<_> = ROWS.iter().map(plain).collect();
    let flag = r#""sip_registered":"true""#;
    let long = "9".repeat(5_000);
    let edge = "8".repeat(128);
    let vast = "é".repeat(500_000);
    let deep = format!("{}1{}", "[".repeat(1_000), "]".repeat(1_000));
    rows.extend([
        HostileRow {
            what: "an id of five thousand digits",
            json: format!(r#"{{"endpoint_id":"{long}",{flag}}}"#),
            reading: Reading::Rejected,
        },
        HostileRow {
            what: "an id of 128 digits",
            json: format!(r#"{{"endpoint_id":"{edge}",{flag}}}"#),
            reading: Reading::Kept(edge),
        },
        HostileRow {
            what: "an alias of a megabyte",
            json: format!(r#"{{"endpoint_id":"900000000000050","alias":"{vast}",{flag}}}"#),
            reading: Reading::Kept("900000000000050".to_owned()),
        },
        HostileRow {
            what: "a thousand levels of nesting in an unknown key",
            json: format!(r#"{{"endpoint_id":"900000000000051","junk":{deep},{flag}}}"#),
            reading: Reading::Either,
        },
        HostileRow {
            what: "a thousand levels of nesting in the application",
            json: format!(r#"{{"endpoint_id":"900000000000052","application":{deep},{flag}}}"#),
            reading: Reading::Either,
        },
        HostileRow {
            what: "the same key twice",
            json: format!(r#"{{"endpoint_id":"900000000000026","sip_registered":"false",{flag}}}"#),
            reading: Reading::Either,
        },
    ]);
    rows
}

fn plain((what, kept_as, json): &Plain) -> HostileRow {
    HostileRow {
        what,
        json: (*json).to_owned(),
        reading: kept_as.map_or(Reading::Rejected, |id| Reading::Kept(id.to_owned())),
    }
}

/// A description, the expected id (`None` if a parser must reject the row), and the row.
type Plain = (&'static str, Option<&'static str>, &'static str);

const ROWS: &[Plain] = &[
    ("null", None, "null"),
    ("a string", None, "\"row\""),
    ("a number", None, "17"),
    ("an array", None, "[]"),
    ("an empty object", None, "{}"),
    (
        "no id",
        None,
        r#"{"username":"ghost","alias":"Ghost","sip_registered":"true"}"#,
    ),
    (
        "a null id",
        None,
        r#"{"endpoint_id":null,"sip_registered":"true"}"#,
    ),
    (
        "an empty id",
        None,
        r#"{"endpoint_id":"","sip_registered":"true"}"#,
    ),
    (
        "an object as id",
        None,
        r#"{"endpoint_id":{"id":1},"sip_registered":"true"}"#,
    ),
    (
        "an integer id beyond the reach of a float",
        Some("12345678901234567"),
        r#"{"endpoint_id":12345678901234567,"sip_registered":"true"}"#,
    ),
    (
        "a lone surrogate in the alias",
        None,
        r#"{"endpoint_id":"900000000000001","alias":"\ud800","sip_registered":"true"}"#,
    ),
    (
        "an alias that would break a careless exposition",
        Some("900000000000002"),
        r#"{"endpoint_id":"900000000000002","alias":"a\"b\\c\nd{e=\"f\"} 1","sip_registered":"true"}"#,
    ),
    (
        "control characters and a NUL in the alias",
        Some("900000000000003"),
        r#"{"endpoint_id":"900000000000003","alias":"\u0000\u0001\r\t\u007f\u2028","sip_registered":"true"}"#,
    ),
    (
        "right-to-left marks, emoji and combining letters",
        Some("900000000000004"),
        r#"{"endpoint_id":"900000000000004","alias":"\u202eenohP\u202c ☎️ नमस्ते e\u0301","sip_registered":"true"}"#,
    ),
    (
        "a hash of the password",
        Some("900000000000005"),
        r#"{"endpoint_id":"900000000000005","password":"5f4dcc3b5aa765d61d8327deb882cf99","sip_registered":"true"}"#,
    ),
    (
        "the flag as a boolean",
        Some("900000000000006"),
        r#"{"endpoint_id":"900000000000006","sip_registered":true}"#,
    ),
    (
        "the flag as a number",
        Some("900000000000007"),
        r#"{"endpoint_id":"900000000000007","sip_registered":1}"#,
    ),
    (
        "the flag in capitals",
        Some("900000000000008"),
        r#"{"endpoint_id":"900000000000008","sip_registered":"TRUE"}"#,
    ),
    (
        "a flag that says neither",
        Some("900000000000009"),
        r#"{"endpoint_id":"900000000000009","sip_registered":"maybe"}"#,
    ),
    (
        "a null flag",
        Some("900000000000010"),
        r#"{"endpoint_id":"900000000000010","sip_registered":null}"#,
    ),
    (
        "nothing but an id",
        Some("900000000000011"),
        r#"{"endpoint_id":"900000000000011"}"#,
    ),
    (
        "the application as a bare integer",
        Some("900000000000012"),
        r#"{"endpoint_id":"900000000000012","application":12345678901234567,"sip_registered":"false"}"#,
    ),
    (
        "the application as a bare id",
        Some("900000000000013"),
        r#"{"endpoint_id":"900000000000013","application":"12345678901234567","sip_registered":"false"}"#,
    ),
    (
        "the application as a URI with /api and without a final slash",
        Some("900000000000014"),
        r#"{"endpoint_id":"900000000000014","application":"/api/v1/Account/MA_X/Application/12345678901234567","sip_registered":"false"}"#,
    ),
    (
        "an application object without an id",
        Some("900000000000015"),
        r#"{"endpoint_id":"900000000000015","application":{"app_name":"Support"},"sip_registered":"false"}"#,
    ),
    (
        "an array as application",
        Some("900000000000016"),
        r#"{"endpoint_id":"900000000000016","application":[1,2],"sip_registered":"false"}"#,
    ),
    (
        "an empty application",
        Some("900000000000017"),
        r#"{"endpoint_id":"900000000000017","application":"","sip_registered":"false"}"#,
    ),
    (
        "an expiry with a space and no zone",
        Some("900000000000018"),
        r#"{"endpoint_id":"900000000000018","sip_registered":"true","sip_expires":"2026-03-02 04:35:00"}"#,
    ),
    (
        "an expiry with microseconds and an offset",
        Some("900000000000019"),
        r#"{"endpoint_id":"900000000000019","sip_registered":"true","sip_expires":"2026-03-02 10:05:00.740666+05:30"}"#,
    ),
    (
        "an expiry that is no time",
        Some("900000000000020"),
        r#"{"endpoint_id":"900000000000020","sip_registered":"true","sip_expires":"soon"}"#,
    ),
    (
        "an expiry as a number",
        Some("900000000000021"),
        r#"{"endpoint_id":"900000000000021","sip_registered":"true","sip_expires":1772426100}"#,
    ),
    (
        "an unregistered endpoint with a left-over expiry",
        Some("900000000000022"),
        r#"{"endpoint_id":"900000000000022","sip_registered":"false","sip_expires":"2026-03-02T04:00:00Z"}"#,
    ),
    (
        "the sub-account as a URI",
        Some("900000000000023"),
        r#"{"endpoint_id":"900000000000023","sip_registered":"false","sub_account":"/v1/Account/MA_X/Subaccount/SA_TEST0001/"}"#,
    ),
    (
        "the sub-account as an object",
        Some("900000000000024"),
        r#"{"endpoint_id":"900000000000024","sip_registered":"false","sub_account":{"auth_id":"SA_TEST0001"}}"#,
    ),
    (
        "numbers and objects where text should be",
        Some("900000000000025"),
        r#"{"endpoint_id":"900000000000025","alias":7,"username":{"a":1},"sip_user_agent":[],"sip_registered":"true"}"#,
    ),
];
