//! A list request and its response: parameters, filters, selected rows, and the body.

use std::io::Write as _;

use url::form_urlencoded;

use super::account::{Account, Order};
use super::endpoint::Endpoint;
use super::page_fault::{Page, PageFault};
use super::row_json;
use super::world::api_id;

/// A list request and its caller.
pub(super) struct ListRequest<'a> {
    pub(super) account: &'a Account,
    /// The auth id of the calling sub-account; `None` for the main account.
    pub(super) owner: Option<&'a str>,
    pub(super) query: &'a ListQuery,
    /// The number from `World::next_response_number`.
    pub(super) response_number: u64,
}

impl ListRequest<'_> {
    pub(super) fn body(&self, faults: &[&PageFault]) -> Vec<u8> {
        let ListQuery {
            limit,
            offset,
            ref filter,
        } = *self.query;
        let mut range = (offset, limit);
        let mut shown_limit = limit;
        for fault in faults {
            fault.change_range(&mut range, &mut shown_limit);
        }
        let selection = Selection::of(
            self.account,
            self.owner,
            filter,
            range,
            self.response_number,
        );
        let claimed = self.account.total_count;
        let total = claimed
            .filter(|_| self.owner.is_none() && filter.is_empty())
            .unwrap_or(selection.total as u64);
        let links = self.links(shown_limit, selection.total);
        let unregistered = faults.contains(&&PageFault::Unregistered);
        let mut out = Vec::with_capacity(512 + selection.slots.len() * 720);
        if faults.is_empty() {
            let count = format!(",\"total_count\":{total}");
            self.head(&mut out, shown_limit, &count, &links);
            out.extend_from_slice(b",\"objects\":[");
            for (place, slot) in selection.slots.iter().enumerate() {
                if place > 0 {
                    out.push(b',');
                }
                self.row(&mut out, *slot, unregistered);
            }
            out.extend_from_slice(b"]}");
            return out;
        }
        let mut page = Page {
            response_number: self.response_number,
            total,
            count: format!(",\"total_count\":{total}"),
            next: links.0.clone(),
            meta: true,
            objects: Some(String::new()),
            rows: selection
                .slots
                .iter()
                .map(|slot| self.one(*slot, unregistered))
                .collect(),
        };
        for fault in faults {
            fault.change_page(&mut page);
        }
        if page.meta {
            self.head(&mut out, shown_limit, &page.count, &(page.next, links.1));
        } else {
            let _ = write!(out, "{{\"api_id\":\"{}\"", api_id(self.response_number));
        }
        match page.objects.as_deref() {
            None => {}
            Some("") => {
                out.extend_from_slice(b",\"objects\":[");
                out.extend_from_slice(&page.rows.join(&b','));
                out.push(b']');
            }
            Some(json) => {
                let _ = write!(out, ",\"objects\":{json}");
            }
        }
        out.push(b'}');
        out
    }

    fn row(&self, out: &mut Vec<u8>, slot: u32, unregistered: bool) {
        if let Some(endpoint) = self.account.slot(slot) {
            row_json::row(out, self.account, endpoint, unregistered);
        }
    }

    fn one(&self, slot: u32, unregistered: bool) -> Vec<u8> {
        let mut out = Vec::with_capacity(720);
        self.row(&mut out, slot, unregistered);
        out
    }

    fn head(&self, out: &mut Vec<u8>, limit: usize, count: &str, links: &(String, String)) {
        let offset = self.query.offset;
        // Writing to memory cannot fail.
        let _ = write!(
            out,
            "{{\"api_id\":\"{}\",\"meta\":{{\"limit\":{limit},\"offset\":{offset}{count},\
             \"next\":{},\"previous\":{}}}",
            api_id(self.response_number),
            links.0,
            links.1
        );
    }

    /// The members `next` and `previous` as JSON. As in the vendor's documents, these URLs lack the
    /// host and the `/api`, although requests need both.
    fn links(&self, limit: usize, total: usize) -> (String, String) {
        let offset = self.query.offset;
        let path = self.owner.unwrap_or(&self.account.auth_id);
        let link = |offset: usize| {
            let filters = &self.query.filter.encoded;
            format!("\"/v1/Account/{path}/Endpoint/?limit={limit}&offset={offset}{filters}\"")
        };
        let null = || "null".to_owned();
        let after = offset.saturating_add(limit);
        let next = if after < total { link(after) } else { null() };
        let previous = if offset > 0 {
            link(offset.saturating_sub(limit))
        } else {
            null()
        };
        (next, previous)
    }
}

/// The parsed parameters of a list request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ListQuery {
    /// The `limit`, reduced to the maximum of the account.
    limit: usize,
    /// The requested `offset`.
    offset: usize,
    filter: Filter,
}

/// The filters that the vendor's documents describe. An endpoint must match all given filters.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Filter {
    username_contains: Option<String>,
    username_exact: Option<String>,
    username_startswith: Option<String>,
    alias_contains: Option<String>,
    alias_exact: Option<String>,
    application_exact: Option<String>,
    application_isnull: Option<bool>,
    sub_account: Option<String>,
    /// The filters as a query string, for the links to other pages.
    encoded: String,
}

/// An invalid parameter: the status of the response, the name, and a description of valid values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BadParameter {
    pub(super) status: u16,
    pub(super) name: String,
    pub(super) wanted: &'static str,
}

const DEFAULT_LIMIT: usize = 20;

impl ListQuery {
    /// Parses a query string and ignores unknown parameters.
    pub(super) fn parse(query: &str, max_limit: usize) -> Result<Self, BadParameter> {
        let mut limit = DEFAULT_LIMIT;
        let mut offset = 0;
        let mut filter = Filter::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match name.as_ref() {
                "limit" => {
                    limit = number(&name, &value, "a whole number above zero")?;
                    if limit == 0 {
                        return Err(BadParameter::new(422, &name, "a whole number above zero"));
                    }
                }
                "offset" => offset = number(&name, &value, "a whole number")?,
                _ => filter.take(&name, value.into_owned())?,
            }
        }
        Ok(Self {
            limit: limit.min(max_limit),
            offset,
            filter,
        })
    }
}

fn number(name: &str, value: &str, wanted: &'static str) -> Result<usize, BadParameter> {
    value
        .parse()
        .map_err(|_| BadParameter::new(422, name, wanted))
}

impl BadParameter {
    fn new(status: u16, name: &str, wanted: &'static str) -> Self {
        Self {
            status,
            name: name.to_owned(),
            wanted,
        }
    }
}

impl Filter {
    fn take(&mut self, name: &str, value: String) -> Result<(), BadParameter> {
        let encoded = form_urlencoded::Serializer::new(String::new())
            .append_pair(name, &value)
            .finish();
        match name {
            "username__contains" => self.username_contains = Some(value),
            "username__exact" => self.username_exact = Some(value),
            "username__startswith" => self.username_startswith = Some(value),
            "alias__contains" => self.alias_contains = Some(value),
            "alias__exact" => self.alias_exact = Some(value),
            "application_id__exact" => {
                if value.parse::<u64>().is_err() {
                    return Err(BadParameter::new(400, name, "an integer"));
                }
                self.application_exact = Some(value);
            }
            "application_id__isnull" => {
                self.application_isnull = Some(match value.to_ascii_lowercase().as_str() {
                    "true" | "1" => true,
                    "false" | "0" => false,
                    _ => return Err(BadParameter::new(400, name, "a boolean")),
                });
            }
            "sub_account" => self.sub_account = Some(value),
            _ => return Ok(()),
        }
        self.encoded.push('&');
        self.encoded.push_str(&encoded);
        Ok(())
    }

    fn is_empty(&self) -> bool {
        self.encoded.is_empty()
    }

    /// Whether the endpoint matches all filters. Text comparison is case-sensitive.
    fn admits(&self, endpoint: &Endpoint) -> bool {
        fn ok(wanted: Option<&String>, test: impl FnOnce(&str) -> bool) -> bool {
            wanted.is_none_or(|wanted| test(wanted))
        }
        let application = endpoint.application.as_deref();
        ok(self.username_contains.as_ref(), |part| {
            endpoint.username.contains(part)
        }) && ok(self.username_exact.as_ref(), |whole| {
            endpoint.username == whole
        }) && ok(self.username_startswith.as_ref(), |head| {
            endpoint.username.starts_with(head)
        }) && ok(self.alias_contains.as_ref(), |part| {
            endpoint.alias.contains(part)
        }) && ok(self.alias_exact.as_ref(), |whole| endpoint.alias == whole)
            && ok(self.application_exact.as_ref(), |id| {
                application == Some(id)
            })
            && self
                .application_isnull
                .is_none_or(|null| application.is_none() == null)
            && ok(self.sub_account.as_ref(), |owner| {
                endpoint.sub_account.as_deref() == Some(owner)
            })
    }
}

/// The slots of the endpoints of one page, and the correct `total_count` of the whole list.
#[derive(Debug, PartialEq, Eq)]
struct Selection {
    slots: Vec<u32>,
    total: usize,
}

impl Selection {
    /// Selects the rows of `range` (offset and limit). For an unfiltered list of all endpoints in a
    /// fixed order, the duration of the selection depends only on the limit.
    ///
    /// `owner` is the auth id of the calling sub-account. `shuffle` is the seed for
    /// [`Order::Shuffled`].
    fn of(
        account: &Account,
        owner: Option<&str>,
        filter: &Filter,
        range: (usize, usize),
        shuffle: u64,
    ) -> Self {
        let (offset, limit) = range;
        let whole = owner.is_none()
            && filter.is_empty()
            && account.lists_sub_accounts
            && !account.hides_some();
        let mut matching = Vec::new();
        let listed: &[u32] = if whole {
            account.listed()
        } else {
            matching.extend(account.listed().iter().copied().filter(|slot| {
                account
                    .slot(*slot)
                    .is_some_and(|endpoint| visible(account, owner, filter, endpoint))
            }));
            &matching
        };
        let total = listed.len();
        let slots = match account.order {
            Order::OldestFirst => page(listed.iter(), offset, limit),
            Order::NewestFirst => page(listed.iter().rev(), offset, limit),
            Order::Shuffled => {
                let mut shuffled = listed.to_vec();
                fastrand::Rng::with_seed(shuffle).shuffle(&mut shuffled);
                page(shuffled.iter(), offset, limit)
            }
        };
        // Without filters, `total_count` includes hidden endpoints, but the list does not.
        let hidden = if account.hides_some() && filter.is_empty() && owner.is_none() {
            account
                .endpoints()
                .filter(|endpoint| endpoint.hidden)
                .count()
        } else {
            0
        };
        Self {
            slots,
            total: total + hidden,
        }
    }
}

fn page<'a>(slots: impl Iterator<Item = &'a u32>, offset: usize, limit: usize) -> Vec<u32> {
    slots.skip(offset).take(limit).copied().collect()
}

fn visible(account: &Account, owner: Option<&str>, filter: &Filter, endpoint: &Endpoint) -> bool {
    let mine = match owner {
        Some(owner) => endpoint.sub_account.as_deref() == Some(owner),
        None => {
            account.lists_sub_accounts
                || endpoint.sub_account.is_none()
                || filter.sub_account.is_some()
        }
    };
    mine && !endpoint.hidden && filter.admits(endpoint)
}
