//! One account: who may ask, what it owns, and its endpoints in the order of the list.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::fmt;

use super::endpoint::Endpoint;
use super::life::Site;
use super::shape::Shape;

/// In which order the list shows an account's endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// The first created stands first; new ones appear at the end.
    #[default]
    OldestFirst,
    /// The last created stands first; new ones push all others down.
    NewestFirst,
    /// Every request sees another order.
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
    /// The token that is accepted at present.
    pub token: String,
    /// Its sub-accounts.
    pub sub_accounts: Vec<SubAccount>,
    /// Its applications.
    pub applications: Vec<Application>,
    /// The form of its rows.
    pub shape: Shape,
    /// The order of its list.
    pub order: Order,
    /// The largest page it gets; a larger `limit` is clamped in silence.
    pub max_limit: usize,
    /// What `total_count` says instead of the truth, without filters.
    pub total_count: Option<u64>,
    /// Does the unfiltered list of the main account contain what its sub-accounts own?
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

    /// How many endpoints it has, hidden ones included.
    pub fn len(&self) -> usize {
        self.listed.len()
    }

    /// Has it no endpoints?
    pub fn is_empty(&self) -> bool {
        self.listed.is_empty()
    }

    /// How many the API shows as registered.
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

    /// All endpoints in the order of the list, hidden ones included.
    pub fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        (0..self.listed.len()).filter_map(|position| self.at(position))
    }

    /// The endpoint of this id.
    pub fn endpoint(&self, id: &str) -> Option<&Endpoint> {
        self.slot(*self.by_id.get(id)?)
    }

    /// Changes one endpoint. From then on no event of life touches it. False if there is none.
    pub fn edit(&mut self, id: &str, change: impl FnOnce(&mut Endpoint)) -> bool {
        let Some(&slot) = self.by_id.get(id) else {
            return false;
        };
        let Some(endpoint) = self.slot_mut(slot) else {
            return false;
        };
        endpoint.life.stand_still();
        change(endpoint);
        true
    }

    /// Changes every endpoint, as [`Account::edit`] does one.
    pub fn edit_all(&mut self, mut change: impl FnMut(&mut Endpoint)) {
        for endpoint in self.slots.iter_mut().flatten() {
            endpoint.life.stand_still();
            change(endpoint);
        }
    }

    /// Adds an endpoint as the youngest. One of the same id is replaced where it stands.
    pub fn push(&mut self, endpoint: Endpoint) {
        let index = self.listed.len();
        self.put(index, endpoint);
    }

    /// Inserts an endpoint at a position of the list (at its end, if the list is shorter). One of
    /// the same id is replaced where it stands.
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

    /// Puts another endpoint, with another id, where the one of this id stood.
    pub fn replace(&mut self, id: &str, endpoint: Endpoint) -> Option<Endpoint> {
        let slot = *self.by_id.get(id)?;
        let index = self.listed.iter().position(|listed| *listed == slot)?;
        let old = self.remove(id)?;
        self.put(index, endpoint);
        Some(old)
    }

    /// Leaves an endpoint out of the lists, though it is counted and can be retrieved; or shows it
    /// again. False if there is none of this id.
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

    /// Sorts the list for good; the least stands where the oldest did.
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
        // Slots are not used twice, so that an event planned for a deleted endpoint cannot meet
        // its successor.
        let slot = u32::try_from(self.slots.len()).expect("memory ends before 2^32 endpoints");
        self.by_id.insert(endpoint.id.clone(), slot);
        self.slots.push(Some(endpoint));
        self.listed.insert(index, slot);
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither the token nor a hundred thousand endpoints.
        formatter
            .debug_struct("Account")
            .field("auth_id", &self.auth_id)
            .field("shape", &self.shape)
            .field("order", &self.order)
            .field("endpoints", &self.len())
            .finish_non_exhaustive()
    }
}
