//! One account: credentials, applications, and endpoints in the order of the list.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::fmt;

use super::behaviour::Site;
use super::endpoint::Endpoint;
use super::shape::Shape;

/// The order of an account's endpoints in its list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// By time of creation; new endpoints appear at the end.
    #[default]
    OldestFirst,
    /// By reverse time of creation; a new endpoint moves all others one position further.
    NewestFirst,
    /// Every request gets another order.
    Shuffled,
}

/// A sub-account with credentials of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubAccount {
    /// `auth_id`, with the prefix `SA_`.
    pub auth_id: String,
    /// Its token.
    pub token: String,
}

/// An application that endpoints are attached to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Application {
    /// `app_id`: 17 digits.
    pub id: String,
    /// `app_name`.
    pub name: String,
}

/// A main account and everything that belongs to it.
pub struct Account {
    /// `auth_id`.
    pub auth_id: String,
    /// The valid token.
    pub token: String,
    /// Its sub-accounts.
    pub sub_accounts: Vec<SubAccount>,
    /// Its applications.
    pub applications: Vec<Application>,
    /// The form of the rows.
    pub shape: Shape,
    /// The order of its list.
    pub order: Order,
    /// The maximum page size; a larger `limit` is reduced to it without an error.
    pub max_limit: usize,
    /// A wrong `total_count` for lists without filters.
    pub total_count: Option<u64>,
    /// True if the unfiltered list of the main account contains endpoints of sub-accounts.
    pub lists_sub_accounts: bool,
    slots: Vec<Option<Endpoint>>,
    /// Slot numbers, oldest first.
    listed: Vec<u32>,
    by_id: HashMap<String, u32>,
    hidden: usize,
    pub(super) sites: Vec<Site>,
}

impl Account {
    /// An account without endpoints.
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

    /// Number of endpoints, including hidden ones.
    pub fn len(&self) -> usize {
        self.listed.len()
    }

    /// True without endpoints.
    pub fn is_empty(&self) -> bool {
        self.listed.is_empty()
    }

    /// Number of endpoints that the API shows as registered.
    pub fn registered(&self) -> usize {
        self.endpoints().filter(|row| row.registered()).count()
    }

    /// The endpoint at a position of the list; [`Order::Shuffled`] counts as oldest first.
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

    /// The endpoint of this id.
    pub fn endpoint(&self, id: &str) -> Option<&Endpoint> {
        self.slot(*self.by_id.get(id)?)
    }

    /// Changes one endpoint, and ends its simulated events. False if there is none.
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

    /// Changes every endpoint, as [`Account::edit`] changes one.
    pub fn edit_all(&mut self, mut change: impl FnMut(&mut Endpoint)) {
        for endpoint in self.slots.iter_mut().flatten() {
            endpoint.simulation.freeze();
            change(endpoint);
        }
    }

    /// Adds the newest endpoint. An endpoint of the same id is replaced in its position.
    pub fn push(&mut self, endpoint: Endpoint) {
        let index = self.listed.len();
        self.put(index, endpoint);
    }

    /// Inserts an endpoint at a position of the list (at its end, if the list is shorter). An
    /// endpoint of the same id is replaced in its position.
    pub fn insert(&mut self, position: usize, endpoint: Endpoint) {
        let length = self.listed.len();
        let index = match self.order {
            Order::NewestFirst => length.saturating_sub(position),
            Order::OldestFirst | Order::Shuffled => position.min(length),
        };
        self.put(index, endpoint);
    }

    /// Deletes an endpoint.
    pub fn remove(&mut self, id: &str) -> Option<Endpoint> {
        let slot = self.by_id.remove(id)?;
        let index = self.listed.iter().position(|listed| *listed == slot)?;
        self.listed.remove(index);
        let endpoint = self.slots.get_mut(slot as usize)?.take()?;
        self.hidden -= usize::from(endpoint.hidden);
        Some(endpoint)
    }

    /// Replaces the endpoint of this id by one with another id, in the same position.
    pub fn replace(&mut self, id: &str, endpoint: Endpoint) -> Option<Endpoint> {
        let slot = *self.by_id.get(id)?;
        let index = self.listed.iter().position(|listed| *listed == slot)?;
        let old = self.remove(id)?;
        self.put(index, endpoint);
        Some(old)
    }

    /// Hides an endpoint from lists, or shows it again. A hidden endpoint is counted and can be
    /// retrieved. False if there is none of this id.
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

    /// Sorts the list permanently; the least endpoint takes the position of the oldest.
    pub fn reorder(&mut self, mut by: impl FnMut(&Endpoint, &Endpoint) -> Ordering) {
        let slots = &self.slots;
        self.listed
            .sort_by(|a, b| match (&slots[*a as usize], &slots[*b as usize]) {
                (Some(a), Some(b)) => by(a, b),
                _ => Ordering::Equal,
            });
    }

    /// The name of an application.
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

    /// The slots in the order of the list, before any shuffle.
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
        // Slots are not reused: an event planned for a deleted endpoint must not apply to another.
        let slot = u32::try_from(self.slots.len()).expect("memory ends before 2^32 endpoints");
        self.by_id.insert(endpoint.id.clone(), slot);
        self.slots.push(Some(endpoint));
        self.listed.insert(index, slot);
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the token and the endpoints.
        formatter
            .debug_struct("Account")
            .field("auth_id", &self.auth_id)
            .field("shape", &self.shape)
            .field("order", &self.order)
            .field("endpoints", &self.len())
            .finish_non_exhaustive()
    }
}
