//! The response to a list request: the object around the rows, and the rows.

use std::io::Write as _;

use super::account::Account;
use super::page_fault::PageFault;
use super::query::{ListQuery, Selection};
use super::shape;
use super::world::api_id;

/// The parts of a page that page faults can change before it is written.
pub(super) struct Page {
    pub(super) answer: u64,
    pub(super) total: u64,
    /// The JSON member `total_count`, with a leading comma.
    pub(super) count: String,
    pub(super) next: String,
    pub(super) meta: bool,
    /// JSON that replaces the rows; `None` omits the member `objects`.
    pub(super) objects: Option<String>,
    pub(super) rows: Vec<Vec<u8>>,
}

/// A list request and its caller.
pub(super) struct ListRequest<'a> {
    pub(super) account: &'a Account,
    /// The sub-account, if its credentials were used.
    pub(super) owner: Option<&'a str>,
    pub(super) query: &'a ListQuery,
    /// The number of the response, counted from the vendor's start.
    pub(super) answer: u64,
}

impl ListRequest<'_> {
    /// Writes the body of the response.
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
        let selection = Selection::of(self.account, self.owner, filter, range, self.answer);
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
            answer: self.answer,
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
            let _ = write!(out, "{{\"api_id\":\"{}\"", api_id(self.answer));
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
            shape::row(out, self.account, endpoint, unregistered);
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
            api_id(self.answer),
            links.0,
            links.1
        );
    }

    /// The members `next` and `previous` as JSON. The vendor omits the host and the `/api` that
    /// requests need.
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
