//! The effective configuration in YAML, for people: complete, and without secrets.

use std::fmt::Write;

use bytesize::ByteSize;

use super::{
    entry::shown,
    model::{Account, ApiToken, Config, Group},
    settings::is_loopback,
};

impl Config {
    /// The effective settings of every account in YAML. Tokens are masked; of the proxy's URL only
    /// scheme, host and port are shown.
    pub fn masked(&self) -> String {
        let mut out = String::new();
        // Writing to a String cannot fail.
        let _ = write_config(self, &mut out);
        out
    }
}

fn write_config(config: &Config, out: &mut String) -> std::fmt::Result {
    writeln!(
        out,
        "api:\n  max_concurrent_requests: {}",
        config.max_concurrent_requests
    )?;
    let probe = &config.probe;
    writeln!(out, "probe:\n  enabled: {}", probe.enabled)?;
    let rate = probe.requests_per_second;
    writeln!(out, "  requests_per_second: {rate}")?;
    writeln!(out, "  timeout_offset: {}", shown(probe.timeout_offset))?;
    writeln!(out, "accounts:")?;
    config
        .accounts
        .iter()
        .try_for_each(|account| write_account(account, out))
}

fn write_account(account: &Account, out: &mut String) -> std::fmt::Result {
    writeln!(out, "  - name: {}", text(&account.name))?;
    writeln!(out, "    auth_id: {}", text(&account.auth_id))?;
    match &account.token {
        ApiToken::Inline(_) => writeln!(out, "    auth_token: <masked>")?,
        ApiToken::File { path, .. } => {
            writeln!(
                out,
                "    auth_token_file: {}",
                text(&path.display().to_string())
            )?;
        }
    }
    if !account.filter.0.is_empty() {
        writeln!(out, "    filter:")?;
        for (name, value) in &account.filter.0 {
            writeln!(out, "      {name}: {}", text(value))?;
        }
    }
    write_settings(account, out)?;
    if !account.groups.is_empty() {
        writeln!(out, "    groups:")?;
        account
            .groups
            .iter()
            .try_for_each(|group| write_group(group, out))?;
    }
    if !account.applications.is_empty() {
        writeln!(out, "    applications:")?;
        for (id, name) in &account.applications {
            writeln!(out, "      {}: {}", text(id), text(name))?;
        }
    }
    Ok(())
}

fn write_settings(account: &Account, out: &mut String) -> std::fmt::Result {
    let (poll, api) = (&account.poll, &account.api);
    let (details, metrics) = (&account.details, &account.metrics);
    writeln!(out, "    poll:")?;
    writeln!(out, "      interval: {}", shown(poll.interval))?;
    writeln!(out, "      max_age: {}", shown(poll.max_age))?;
    writeln!(out, "      deadline: {}", shown(poll.deadline))?;
    writeln!(out, "      flip_share: {}", poll.flip_share)?;
    writeln!(out, "    api:")?;
    writeln!(out, "      base_url: {}", text(api.base_url.as_str()))?;
    let is_insecure = api.base_url.scheme() == "http" && !is_loopback(&api.base_url);
    writeln!(out, "      allow_insecure_http: {is_insecure}")?;
    writeln!(out, "      page_size: {}", api.page_size)?;
    writeln!(out, "      concurrency: {}", api.concurrency)?;
    writeln!(
        out,
        "      requests_per_second: {}",
        api.requests_per_second.unwrap_or(0.0)
    )?;
    writeln!(out, "      connect_timeout: {}", shown(api.connect_timeout))?;
    writeln!(out, "      request_timeout: {}", shown(api.request_timeout))?;
    writeln!(
        out,
        "      max_page_bytes: {}B # {}",
        api.max_page_bytes,
        ByteSize(api.max_page_bytes)
    )?;
    writeln!(out, "      retries: {}", api.retries)?;
    let proxy = api
        .masked_proxy()
        .map_or_else(|| "null".to_owned(), |url| text(&url));
    writeln!(out, "      proxy_url: {proxy}")?;
    let ca_file = api
        .ca_file
        .as_ref()
        .map(|path| text(&path.display().to_string()));
    writeln!(
        out,
        "      ca_file: {}",
        ca_file.as_deref().unwrap_or("null")
    )?;
    writeln!(out, "    details:")?;
    writeln!(out, "      mode: {}", details.mode.word())?;
    let budget = details.requests_per_minute;
    writeln!(out, "      requests_per_minute: {budget}")?;
    writeln!(out, "      max_age: {}", shown(details.max_age))?;
    writeln!(out, "    metrics:")?;
    let groups: Vec<_> = metrics.groups.iter().map(|group| group.word()).collect();
    writeln!(out, "      groups: [{}]", groups.join(", "))?;
    writeln!(out, "      username: {}", metrics.username)
}

fn write_group(group: &Group, out: &mut String) -> std::fmt::Result {
    writeln!(out, "      - name: {}", text(&group.name))?;
    writeln!(out, "        match:")?;
    let matches = &group.matches;
    for (key, pattern) in [
        ("alias", &matches.alias),
        ("username", &matches.username),
        ("application_id", &matches.application_id),
        ("sub_account", &matches.sub_account),
    ] {
        if let Some(pattern) = pattern {
            writeln!(out, "          {key}: {}", text(pattern.as_str()))?;
        }
    }
    writeln!(out, "        watch: {}", group.watch.label())
}

/// A text in double quotes, as YAML reads them.
fn text(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            _ if letter.is_control() || matches!(letter, '\u{2028}' | '\u{2029}' | '\u{feff}') => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(letter));
            }
            _ => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}
