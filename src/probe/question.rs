//! What is asked: the parameters of the request, or why they are refused.
//!
//! A refusal says what would be right and repeats nothing of what came.

use url::form_urlencoded;

/// The longest id, as everywhere.
const MAX_ID: usize = 128;

/// A question that can be put to the vendor.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Question {
    /// `account`, as the caller of [`read`] knows it.
    pub(super) account: usize,
    /// `endpoint_id`: fit to stand in a path as it is.
    pub(super) id: String,
    /// `debug`: is the answer for a person?
    pub(super) debug: bool,
}

/// Reads a query, which is decoded once. `find` knows the accounts by name. Parameters of other names
/// are nobody's business.
pub(super) fn read(
    query: &str,
    find: impl Fn(&str) -> Option<usize>,
) -> Result<Question, &'static str> {
    let [mut account, mut id, mut debug] = [const { None }; 3];
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let (place, twice) = match &*name {
            "account" => (
                &mut account,
                "the parameter account stands twice; give it once\n",
            ),
            "endpoint_id" => (
                &mut id,
                "the parameter endpoint_id stands twice; give it once\n",
            ),
            "debug" => (
                &mut debug,
                "the parameter debug stands twice; give it once\n",
            ),
            _ => continue,
        };
        if place.replace(value).is_some() {
            return Err(twice);
        }
    }
    let account = account.filter(|name| !name.is_empty()).ok_or(
        "the parameter account is missing: it is the name of a configured account, as in \
         /probe?account=NAME&endpoint_id=ID\n",
    )?;
    let id = id.filter(|id| !id.is_empty()).ok_or(
        "the parameter endpoint_id is missing: it is the id of an endpoint, as in \
         /probe?account=NAME&endpoint_id=ID\n",
    )?;
    let debug = match debug.as_deref() {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err("the parameter debug must be true or false\n"),
    };
    let account =
        find(&account).ok_or("the parameter account must be the name of a configured account\n")?;
    if !is_id(&id) {
        return Err(
            "the parameter endpoint_id must be 1 to 128 of the letters A to Z and a to z, \
             digits, and - . _ ~, and not dots only\n",
        );
    }
    Ok(Question {
        account,
        id: id.into_owned(),
        debug,
    })
}

/// Ids of the vendor's are digits. What may stand in a path without being encoded is let through, for
/// the day when they are not; but dots alone are a place in a path, and no name.
fn is_id(id: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    id.len() <= MAX_ID && id.bytes().all(is_plain) && id.bytes().any(|byte| byte != b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(query: &str) -> Result<Question, &'static str> {
        let names = ["main", "Büro & Söhne", "a b"];
        read(query, |name| names.iter().position(|known| *known == name))
    }

    fn question(account: usize, id: &str, debug: bool) -> Question {
        Question {
            account,
            id: id.to_owned(),
            debug,
        }
    }

    #[test]
    fn a_question_is_an_account_and_an_id_and_perhaps_a_wish_for_words() {
        assert_eq!(
            asked("account=main&endpoint_id=42"),
            Ok(question(0, "42", false))
        );
        assert_eq!(
            asked("endpoint_id=%34%32&account=B%C3%BCro+%26%20S%C3%B6hne&debug=true"),
            Ok(question(1, "42", true))
        );
        assert_eq!(
            asked("account=a+b&endpoint_id=A-z.9_~&debug=false&module=x&module=y&=&&"),
            Ok(question(2, "A-z.9_~", false))
        );
        let longest = "9".repeat(128);
        let query = format!("account=main&endpoint_id={longest}");
        assert_eq!(asked(&query), Ok(question(0, &longest, false)));
    }

    #[test]
    fn what_is_missing_empty_or_doubled_is_named() {
        for (query, named) in [
            ("", "account is missing"),
            ("account=main", "endpoint_id is missing"),
            ("endpoint_id=42", "account is missing"),
            ("account=&endpoint_id=42", "account is missing"),
            ("account=main&endpoint_id=", "endpoint_id is missing"),
            ("account=main&endpoint_id", "endpoint_id is missing"),
            ("Account=main&endpoint_id=42", "account is missing"),
            (
                "account=main&account=main&endpoint_id=42",
                "account stands twice",
            ),
            (
                "account=main&endpoint_id=1&endpoint_id=2",
                "endpoint_id stands twice",
            ),
            (
                "account=main&endpoint_id=1&debug=true&debug=true",
                "debug stands twice",
            ),
            ("account=main&endpoint_id=1&debug=", "debug must be"),
            ("account=main&endpoint_id=1&debug=TRUE", "debug must be"),
            ("account=Main&endpoint_id=1", "account must be"),
            ("account=main%00&endpoint_id=1", "account must be"),
        ] {
            let said = asked(query).unwrap_err();
            assert!(
                said.contains(named) && said.ends_with('\n'),
                "{query}: {said}"
            );
        }
    }

    #[test]
    fn an_id_that_could_be_anything_else_is_refused_and_not_repeated() {
        let long = "9".repeat(129);
        let longer = "9".repeat(10_000);
        for id in [
            "../../Account/MA_OTHER/Endpoint/1",
            "..%2f..%2fx",
            "..%2F",
            "%2e%2e",
            ".",
            "..",
            "...",
            "a/b",
            "a%2fb",
            "a%5cb",
            "%252f",
            "1%0d%0aX-Evil:%201",
            "1%0a",
            "1%00",
            "1%20",
            "1+2",
            "1%3fx",
            "1?x",
            "1%23",
            "1#2",
            "1%26",
            "1;2",
            "1%3d",
            "%C3%A9",
            "%ff",
            "%",
            "%zz",
            "%EF%BC%91",
            "1%E2%80%AE",
            "<script>",
            "1\"",
            "1'",
            "1%25",
            &long,
            &longer,
        ] {
            let said = asked(&format!("account=main&endpoint_id={id}")).unwrap_err();
            assert!(
                said.starts_with("the parameter endpoint_id must be"),
                "{id}: {said}"
            );
        }
    }
}
