//! One account: credentials, applications, and endpoints in the order of the list.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::fmt;

use super::endpoint::Endpoint;

/// The order of an account's endpoints in its list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// The oldest endpoint is first; a new endpoint appears at the end.
    #[default]
    OldestFirst,
    /// The newest endpoint is first; a new endpoint moves all others by one position.
    NewestFirst,
    /// Each response has a new random order.
    Shuffled,
}

/// The JSON form of rows and retrieve responses. The vendor's documents describe several forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Shape {
    /// The form in the vendor's description of the list. The application is an object. For an
    /// unregistered endpoint, `sip_contact`, `sip_expires` and `sip_user_agent` are null.
    #[default]
    Documented,
    /// The form of the sample responses in the vendor's specification. A row has eight keys. The
    /// application is a URI.
    Captured,
    /// The form in the documents of Plivo, a vendor with a similar API. A row has eight keys, or
    /// eleven if the endpoint is registered. A time has a space instead of `T`, and no zone.
    #[value(skip)]
    Plivo,
}

/// A sub-account with its own credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubAccount {
    /// The auth id, which starts with `SA_`.
    pub auth_id: String,
    /// The valid token of the sub-account.
    pub token: String,
}

/// An application that endpoints are attached to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Application {
    /// The `app_id` in responses: 17 digits.
    pub id: String,
    /// The `app_name` in responses.
    pub name: String,
}

/// An office whose endpoints share one network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Site {
    /// The end of the latest network outage, in Unix seconds; 0 before the first outage.
    pub(super) down_until: i64,
}

/// A main account with its sub-accounts, applications and endpoints.
pub struct Account {
    /// The auth id of the main account.
    pub auth_id: String,
    /// The valid token of the main account.
    pub token: String,
    /// The sub-accounts of the main account.
    pub sub_accounts: Vec<SubAccount>,
    /// The applications of the account.
    pub applications: Vec<Application>,
    /// The JSON form of the rows and of the retrieve responses.
    pub shape: Shape,
    /// The order of the endpoints in the list.
    pub order: Order,
    /// The maximum page size. The vendor reduces a larger `limit` without an error.
    pub max_limit: usize,
    /// A wrong `total_count` for unfiltered lists of the main account. `None`: the correct number.
    pub total_count: Option<u64>,
    /// Whether the main account lists its sub-accounts' endpoints without a `sub_account` filter.
    pub lists_sub_accounts: bool,
    /// The endpoints, with `None` for a deleted endpoint. A slot is an index in this vector.
    slots: Vec<Option<Endpoint>>,
    /// The index in `slots` of each endpoint, the oldest endpoint first.
    listed: Vec<u32>,
    by_id: HashMap<String, u32>,
    hidden: usize,
    pub(super) sites: Vec<Site>,
}

impl Account {
    /// Creates an account without endpoints.
    pub fn new(auth_id: impl Into<String>, token: impl Into<String>) -> Self {
        Self {
            auth_id: auth_id.into(),
            token: token.into(),
            sub_accounts: Vec::new(),
            applications: Vec::new(),
            shape: Shape::default(),
            order: Order::default(),
            max_limit: 100,
            total_count: None,
            lists_sub_accounts: true,
            slots: Vec::new(),
            listed: Vec::new(),
            by_id: HashMap::new(),
            hidden: 0,
            sites: Vec::new(),
        }
    }

    /// The number of endpoints, including hidden endpoints.
    pub fn len(&self) -> usize {
        self.listed.len()
    }

    /// Whether the account has no endpoints.
    pub fn is_empty(&self) -> bool {
        self.listed.is_empty()
    }

    /// The number of endpoints with a registration, including hidden endpoints.
    pub fn registered(&self) -> usize {
        self.endpoints().filter(|row| row.registered()).count()
    }

    /// The endpoint at a position of the list. Hidden endpoints have positions too. With
    /// [`Order::Shuffled`], the positions are those of [`Order::OldestFirst`].
    pub fn at(&self, position: usize) -> Option<&Endpoint> {
        let index = match self.order {
            Order::NewestFirst => self.listed.len().checked_sub(position + 1)?,
            Order::OldestFirst | Order::Shuffled => position,
        };
        self.slot(*self.listed.get(index)?)
    }

    /// All endpoints in the order of the list, including hidden ones.
    pub fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        (0..self.listed.len()).filter_map(|position| self.at(position))
    }

    /// The endpoint with this id.
    pub fn endpoint(&self, id: &str) -> Option<&Endpoint> {
        self.slot(*self.by_id.get(id)?)
    }

    /// Changes one endpoint and ends its simulated events. Returns false if no endpoint has the id.
    pub fn edit(&mut self, id: &str, change: impl FnOnce(&mut Endpoint)) -> bool {
        let Some(&slot) = self.by_id.get(id) else {
            return false;
        };
        let Some(endpoint) = self.slot_mut(slot) else {
            return false;
        };
        endpoint.simulation.freeze();
        change(endpoint);
        true
    }

    /// Changes every endpoint and ends all simulated events of endpoints.
    pub fn edit_all(&mut self, mut change: impl FnMut(&mut Endpoint)) {
        for endpoint in self.slots.iter_mut().flatten() {
            endpoint.simulation.freeze();
            change(endpoint);
        }
    }

    /// Adds an endpoint as the newest endpoint. If the account has an endpoint with the same id,
    /// replaces that endpoint, and the order of the list does not change.
    pub fn push(&mut self, endpoint: Endpoint) {
        let index = self.listed.len();
        self.put(index, endpoint);
    }

    /// Inserts an endpoint at a position of the list, or at the end if the list is shorter. If the
    /// account has an endpoint with the same id, replaces that endpoint at its old position.
    pub fn insert(&mut self, position: usize, endpoint: Endpoint) {
        let length = self.listed.len();
        let index = match self.order {
            Order::NewestFirst => length.saturating_sub(position),
            Order::OldestFirst | Order::Shuffled => position.min(length),
        };
        self.put(index, endpoint);
    }

    /// Deletes the endpoint with this id and returns it.
    pub fn remove(&mut self, id: &str) -> Option<Endpoint> {
        let slot = self.by_id.remove(id)?;
        let index = self.listed.iter().position(|listed| *listed == slot)?;
        self.listed.remove(index);
        let endpoint = self.slots.get_mut(slot as usize)?.take()?;
        self.hidden -= usize::from(endpoint.hidden);
        Some(endpoint)
    }

    /// Puts `endpoint` in the place of the endpoint with id `id`. Returns the replaced endpoint.
    pub fn replace(&mut self, id: &str, endpoint: Endpoint) -> Option<Endpoint> {
        let slot = *self.by_id.get(id)?;
        let index = self.listed.iter().position(|listed| *listed == slot)?;
        let old = self.remove(id)?;
        self.put(index, endpoint);
        Some(old)
    }

    /// Hides an endpoint from lists, or shows it again. Clients can retrieve a hidden endpoint, and
    /// `total_count` of an unfiltered list of the main account includes the endpoint. Returns false
    /// if no endpoint has this id.
    pub fn hide(&mut self, id: &str, hidden: bool) -> bool {
        let Some(&slot) = self.by_id.get(id) else {
            return false;
        };
        let Some(endpoint) = self.slot_mut(slot) else {
            return false;
        };
        let before = std::mem::replace(&mut endpoint.hidden, hidden);
        self.hidden = self.hidden + usize::from(hidden) - usize::from(before);
        true
    }

    /// Sorts the endpoints with `by`. The first endpoint of this order then counts as the oldest.
    pub fn reorder(&mut self, mut by: impl FnMut(&Endpoint, &Endpoint) -> Ordering) {
        let slots = &self.slots;
        self.listed
            .sort_by(|a, b| match (&slots[*a as usize], &slots[*b as usize]) {
                (Some(a), Some(b)) => by(a, b),
                _ => Ordering::Equal,
            });
    }

    /// The name of the application with this id.
    pub fn application_name(&self, id: &str) -> Option<&str> {
        let found = self.applications.iter().find(|known| known.id == id);
        found.map(|application| application.name.as_str())
    }

    pub(super) fn hides_some(&self) -> bool {
        self.hidden > 0
    }

    pub(super) fn slot(&self, slot: u32) -> Option<&Endpoint> {
        self.slots.get(slot as usize)?.as_ref()
    }

    pub(super) fn slot_mut(&mut self, slot: u32) -> Option<&mut Endpoint> {
        self.slots.get_mut(slot as usize)?.as_mut()
    }

    pub(super) fn slot_of(&self, id: &str) -> Option<u32> {
        self.by_id.get(id).copied()
    }

    pub(super) fn listed(&self) -> &[u32] {
        &self.listed
    }

    fn put(&mut self, index: usize, endpoint: Endpoint) {
        self.hidden += usize::from(endpoint.hidden);
        if let Some(&slot) = self.by_id.get(&endpoint.id) {
            let old = self.slots[slot as usize].replace(endpoint);
            self.hidden -= usize::from(old.is_some_and(|old| old.hidden));
            return;
        }
        // Events refer to slots, so a new endpoint never gets the slot of a deleted endpoint.
        let slot = u32::try_from(self.slots.len()).expect("memory ends before 2^32 endpoints");
        self.by_id.insert(endpoint.id.clone(), slot);
        self.slots.push(Some(endpoint));
        self.listed.insert(index, slot);
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The debug output omits the tokens. It omits the endpoints, because there can be many.
        formatter
            .debug_struct("Account")
            .field("auth_id", &self.auth_id)
            .field("shape", &self.shape)
            .field("order", &self.order)
            .field("endpoints", &self.len())
            .finish_non_exhaustive()
    }
}
