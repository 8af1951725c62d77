//! The parameters of a list request, and the rows that they select.

use url::form_urlencoded;

use super::account::{Account, Order};
use super::endpoint::Endpoint;

/// The parsed parameters of a list request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ListQuery {
    /// The `limit`, reduced to the maximum of the account.
    pub(super) limit: usize,
    /// The requested `offset`.
    pub(super) offset: usize,
    pub(super) filter: Filter,
}

/// The filters that the vendor documents. An endpoint must match all given filters.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Filter {
    username_contains: Option<String>,
    username_exact: Option<String>,
    username_startswith: Option<String>,
    alias_contains: Option<String>,
    alias_exact: Option<String>,
    application_exact: Option<String>,
    application_isnull: Option<bool>,
    sub_account: Option<String>,
    /// The filters as a query string, for the links to other pages.
    pub(super) encoded: String,
}

/// The name and value of an invalid parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BadParameter {
    pub(super) status: u16,
    pub(super) name: String,
    pub(super) wanted: &'static str,
}

const DEFAULT_LIMIT: usize = 20;

impl ListQuery {
    /// Parses a query string. It ignores unknown parameters.
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

    /// Whether no filter is given.
    pub(super) fn is_empty(&self) -> bool {
        self.encoded.is_empty()
    }

    /// Whether the endpoint matches all filters. Text comparison is case-sensitive.
    pub(super) fn admits(&self, endpoint: &Endpoint) -> bool {
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

/// The slots of one page, and the total number of matching rows.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Selection {
    pub(super) slots: Vec<u32>,
    pub(super) total: usize,
}

impl Selection {
    /// Selects `limit` rows, starting at `offset`. Without filters the cost depends only on the
    /// page.
    ///
    /// `owner` is the sub-account, if its credentials were used. `shuffle` is the seed for the
    /// order of a list without a stable order.
    pub(super) fn of(
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
        // The vendor counts hidden rows but does not return them.
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
