//! `accounts`: who is read, with which credentials, and what is looked at.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
};

use secrecy::SecretString;

use super::{
    entry::{Entry, Section},
    groups,
    mistake::{Report, UNNAMED_FILE, is_from_environment, shown_file},
    model::{Account, ApiToken, Filter},
    pattern::Patterns,
    schema::FILTERS,
    settings::Keys,
    token::{Fault, TokenFileError, is_header_word, read_token_file, resembles, token},
};

/// Every account of the tree; `None` when one could not be finished.
pub(super) fn read(
    root: &Section<'_>,
    global: &Keys,
    folder: &Path,
    report: &mut Report,
) -> Option<Vec<Account>> {
    let sections = root.items("accounts");
    let mut patterns = Patterns::default();
    let accounts: Vec<_> = sections
        .iter()
        .map(|section| account(section, global, folder, &mut patterns, report))
        .collect();
    check_names(&sections, report);
    check_limiters(&sections, &accounts, report);
    accounts.into_iter().collect()
}

fn account(
    section: &Section<'_>,
    global: &Keys,
    folder: &Path,
    patterns: &mut Patterns,
    report: &mut Report,
) -> Option<Account> {
    let name = name(section, report);
    let auth_id = auth_id(section, report);
    let token = credentials(section, folder, report);
    let filter = filter(&section.section("filter"), report);
    let keys = Keys::read(section, folder, report);
    let poll = keys
        .poll
        .finish_over(&global.poll, &section.section("poll"), report);
    keys.api
        .check_scheme(Some(&global.api), &section.section("api"), report);
    let groups = groups::read(section, patterns, report);
    let applications = applications(&section.section("applications"), report);
    Some(Account {
        name: name?,
        auth_id: auth_id?,
        token: token?,
        filter,
        poll: poll?,
        api: keys.api.finish_over(&global.api)?,
        details: keys.details.finish_over(&global.details)?,
        metrics: keys.metrics.finish_over(&global.metrics)?,
        groups,
        applications,
    })
}

fn name(section: &Section<'_>, report: &mut Report) -> Option<String> {
    if !section.has("name") {
        section.wrong(
            report,
            "needs a `name`: it is the `account` label of every series",
        );
    }
    section.entry("name")?.name(report).map(str::to_owned)
}

fn auth_id(section: &Section<'_>, report: &mut Report) -> Option<String> {
    if !section.has("auth_id") {
        section.wrong(report, "needs an `auth_id`, such as MA_XXXXXXXX");
    }
    let entry = section.entry("auth_id")?;
    let auth_id = entry.text(report)?;
    if !is_header_word(auth_id) {
        entry.wrong(
            report,
            "must be printable ASCII without spaces, such as MA_XXXXXXXX",
        );
        return None;
    }
    if matches!(auth_id, "." | "..") {
        // In a URL's path these two mean a place, however they are written.
        entry.wrong(report, "must be more than dots, such as MA_XXXXXXXX");
        return None;
    }
    Some(auth_id.to_owned())
}

fn credentials(section: &Section<'_>, folder: &Path, report: &mut Report) -> Option<ApiToken> {
    match (
        section.entry("auth_token"),
        section.entry("auth_token_file"),
    ) {
        (None, None) => {
            let is_null = section.has("auth_token") || section.has("auth_token_file");
            let hint = if is_null {
                " (what is there reads as null; write it in quotes)"
            } else {
                ""
            };
            let needs = "needs `auth_token_file` or `auth_token`";
            let keys = ["auth_token", "auth_token_file"];
            match keys.iter().find_map(|key| section.emptied(key)) {
                Some(variable) => variable.wrong(
                    report,
                    format!(
                        "is set to nothing, but the account {needs}; unset it, or give it a value"
                    ),
                ),
                None => section.wrong(report, format!("{needs}{hint}")),
            }
            None
        }
        (Some(inline), Some(file)) => {
            // The variable that comes on top of a file is the one to take away.
            let second = if is_from_environment(inline.value) {
                inline
            } else {
                file
            };
            second.wrong(
                report,
                "is given beside the other of auth_token and auth_token_file; keep one",
            );
            None
        }
        (Some(inline), None) => inline_token(&inline, report),
        (None, Some(file)) => token_of_file(&file, folder, report),
    }
}

fn inline_token(entry: &Entry<'_>, report: &mut Report) -> Option<ApiToken> {
    let wrong = match token(entry.text(report)?) {
        Ok(token) => {
            if let Some(what) = resembles(&token) {
                let path = &entry.path;
                let warning = format!("{path}: looks like {what}; it must be the token alone");
                report.warnings.push(warning);
            }
            return Some(ApiToken::Inline(token));
        }
        Err(Fault::Empty) => "must not be empty",
        Err(Fault::Unfit) => "must be one line of printable ASCII without spaces",
    };
    entry.wrong(report, wrong);
    None
}

fn token_of_file(entry: &Entry<'_>, folder: &Path, report: &mut Report) -> Option<ApiToken> {
    let path = entry.path(report, folder)?;
    let name = shown_file(entry.text(report)?, &path);
    let token = if report.without_secrets {
        Ok(SecretString::default())
    } else {
        read_token_file(&path)
    };
    let wrong = match token {
        Ok(initial) => {
            if let Some(what) = resembles(&initial) {
                report.warnings.push(format!(
                    "{}: what token file {} holds looks like {what}; it must hold the token alone",
                    entry.path,
                    path.display()
                ));
            }
            return Some(ApiToken::File { path, initial });
        }
        Err(TokenFileError::Unreadable { source, .. }) if name == UNNAMED_FILE => {
            format!("{name} cannot be read: {source}; a token itself belongs in `auth_token`")
        }
        Err(error) => error.to_string(),
    };
    entry.wrong(report, wrong);
    None
}

/// The filter in the API's order of names. Unknown names are reported by the schema.
fn filter(section: &Section<'_>, report: &mut Report) -> Filter {
    let read = |&name: &&'static str| {
        let entry = section.entry(name)?;
        let value = entry.text(report)?;
        let wrong = match name {
            "application_id__exact" if !value.bytes().all(|byte| byte.is_ascii_digit()) => {
                "must be an application's id: digits only"
            }
            "application_id__isnull" if !matches!(value, "true" | "false") => {
                "must be \"true\" or \"false\", in quotes"
            }
            _ => return Some((name, value.to_owned())),
        };
        entry.wrong(report, wrong);
        None
    };
    Filter(FILTERS.iter().filter_map(read).collect())
}

fn applications(section: &Section<'_>, report: &mut Report) -> BTreeMap<String, String> {
    let mut names = BTreeMap::new();
    for (id, entry) in section.entries() {
        if id.is_empty() {
            entry.wrong(report, "needs an application's id before the colon");
        } else if let Some(name) = entry.text(report) {
            names.insert(id.to_owned(), name.to_owned());
        }
    }
    names
}

fn check_names(sections: &[Section<'_>], report: &mut Report) {
    let mut seen: HashMap<String, String> = HashMap::new();
    for entry in sections.iter().filter_map(|section| section.entry("name")) {
        let Entry { value, path } = &entry;
        let config::ValueKind::String(name) = &value.kind else {
            continue;
        };
        if let Some(first) = seen.get(name) {
            let message = format!("the name is taken by {first}; names must differ");
            entry.wrong(report, message);
        } else {
            seen.insert(name.clone(), path.clone());
        }
    }
}

/// One limiter serves all accounts with the same base URL and auth id, so it has one rate.
fn check_limiters(sections: &[Section<'_>], accounts: &[Option<Account>], report: &mut Report) {
    let mut first = HashMap::new();
    for (section, account) in sections.iter().zip(accounts) {
        let Some(account) = account else {
            continue;
        };
        let key = (account.api.base_url.as_str(), account.auth_id.as_str());
        let rate = account.api.requests_per_second;
        let (path, agreed) = *first.entry(key).or_insert((section.path.as_str(), rate));
        if agreed != rate {
            section.section("api").wrong(
                report,
                format!(
                    "requests_per_second differs from that of {path}, with which this account \
                     shares its auth_id and so its limiter; set both alike"
                ),
            );
        }
    }
}
