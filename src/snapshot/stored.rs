//! The form of a snapshot that the state database keeps, and snapshots from stored endpoints.

use std::{sync::Arc, time::Duration};

use super::{
    history::History,
    packed_records::{EndpointView, Record, StoredEndpoint, Texts},
    retention::{Removed, RemovedEndpoint},
    snapshot::{EndpointList, Snapshot, WalkFacts},
    state::Details,
};
use crate::clock::UnixMillis;

impl Snapshot {
    /// Every endpoint in the order of ids, as it is stored. Without `names`, usernames and aliases are "".
    pub fn stored_endpoints<'a>(
        &'a self,
        details: &'a Details,
        names: bool,
    ) -> impl Iterator<Item = StoredEndpoint<'a>> {
        let views = self.endpoints_with(details).zip(&self.list.records);
        views.map(move |(view, record)| self.stored(view, record, names))
    }

    /// The endpoint at the position `number` in the order of ids, as [`Self::stored_endpoints`] returns it.
    pub fn stored_endpoint<'a>(
        &'a self,
        number: u32,
        details: &'a Details,
        names: bool,
    ) -> Option<StoredEndpoint<'a>> {
        let record = self.list.records.get(usize::try_from(number).ok()?)?;
        let view = record.view(&self.list.texts);
        let detail = details.get(view.id).and_then(|detail| detail.user_agent());
        let view = EndpointView {
            user_agent: view.user_agent.or(detail),
            ..view
        };
        Some(self.stored(view, record, names))
    }

    fn stored<'a>(
        &self,
        view: EndpointView<'a>,
        record: &Record,
        names: bool,
    ) -> StoredEndpoint<'a> {
        StoredEndpoint {
            id: view.id,
            username: if names { view.username } else { "" },
            alias: if names { view.alias } else { "" },
            sub_account: view.sub_account,
            application: view.application,
            application_known: view.application_known,
            user_agent: view.user_agent,
            registered: view.registered,
            history: view.history,
            last_listed: (view.retained).then(|| {
                let unseen = record.unseen_for(Duration::ZERO);
                let unseen = i64::try_from(unseen.as_millis()).unwrap_or(i64::MAX);
                UnixMillis(self.walk.ended_at.0.saturating_sub(unseen))
            }),
        }
    }

    /// The removed endpoints of the last week, by id.
    pub fn removed_endpoints(&self) -> impl Iterator<Item = (&str, &RemovedEndpoint)> {
        self.removed.0.iter().map(|(id, removed)| (&**id, removed))
    }

    /// One removed endpoint by its id.
    pub fn removed_endpoint(&self, id: &str) -> Option<&RemovedEndpoint> {
        self.removed.0.get(id)
    }

    /// Whether this snapshot has the same removed endpoints as `other`, without comparing them one by one.
    pub fn shares_removed_endpoints(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.removed, &other.removed)
    }

    /// A copy without the past of one endpoint, or of all endpoints. `now` is the wall time.
    #[must_use]
    pub fn forgetting(&self, endpoint_id: Option<&str>, now: UnixMillis) -> Self {
        let is_meant = |id: &str| endpoint_id.is_none_or(|meant| meant == id);
        let (mut list, mut removed) = (self.list.clone(), Removed::clone(&self.removed));
        let EndpointList { records, texts, .. } = &mut list;
        for record in records.iter_mut().filter(|one| is_meant(texts.get(one.id))) {
            record.history = History::new(record.registered, now);
        }
        removed.0.retain(|id, _| !is_meant(id));
        Self::changed(list, Arc::new(removed), self.walk.clone())
    }

    /// A copy whose histories continue those of the `older` snapshot, which ended before this one's histories began.
    /// Endpoints that only the older snapshot has count as removed.
    #[must_use]
    pub fn continuing(&self, older: &Self) -> Self {
        let mut list = self.list.clone();
        let mut removed = Removed::clone(&self.removed);
        let EndpointList { records, texts, .. } = &mut list;
        for record in records {
            if let Some(past) = older.past(texts.get(record.id)) {
                record.history = record.history.continuing(past);
            }
        }
        let listed = older.endpoints().map(|one| one.id);
        let gone = listed.chain(older.removed.0.keys().map(|id| &**id));
        for id in gone.filter(|id| self.number(id).is_none()) {
            let Some(history) = older.past(id).filter(|past| past.last_known.is_some()) else {
                continue;
            };
            let removed_at = older.removed.0.get(id);
            let removed_at = removed_at.map_or(self.walk.ended_at, |one| one.removed_at);
            removed
                .0
                .entry(id.into())
                .and_modify(|known| known.history = known.history.continuing(history))
                .or_insert(RemovedEndpoint {
                    history,
                    removed_at,
                });
        }
        Self::changed(list, Arc::new(removed), self.walk.clone())
    }

    /// The history of an endpoint up to the walk of this snapshot, or up to its removal.
    fn past(&self, id: &str) -> Option<History> {
        let listed = self.endpoint(id);
        let listed = listed.map(|one| one.history.after(self.walk.started_at));
        listed.or_else(|| self.removed.0.get(id).map(|removed| removed.history))
    }
}

/// Builds a snapshot from stored endpoints, in the order of ids.
#[derive(Debug)]
pub struct StoredSnapshot {
    list: EndpointList,
    removed: Removed,
    walk: WalkFacts,
    now: UnixMillis,
}

impl StoredSnapshot {
    /// A snapshot of the last published walk, of which only the times are stored. `now` is the wall time.
    pub fn new(
        started_at: UnixMillis,
        ended_at: UnixMillis,
        took: Duration,
        now: UnixMillis,
    ) -> Self {
        Self {
            list: EndpointList {
                has_groups: false,
                ..EndpointList::default()
            },
            removed: Removed::default(),
            walk: WalkFacts::new(started_at.min(now), ended_at.min(now), took),
            now,
        }
    }

    /// Adds an endpoint of the last published walk.
    pub fn add(&mut self, endpoint: &StoredEndpoint<'_>) {
        let last_listed = endpoint.last_listed.unwrap_or(self.walk.ended_at);
        let unseen = self.now.since(last_listed);
        let texts: &mut Texts = &mut self.list.texts;
        let record = Record::stored(endpoint, unseen, texts);
        self.list.records.push(record);
    }

    /// Adds an endpoint that was removed before.
    pub fn add_removed(&mut self, id: &str, history: History, removed_at: UnixMillis) {
        let removed_at = removed_at.min(self.now);
        let removed = RemovedEndpoint {
            history,
            removed_at,
        };
        self.removed.0.insert(id.into(), removed);
    }

    /// The snapshot. Its endpoints get their groups from the next walk.
    pub fn finish(self) -> Snapshot {
        Snapshot::changed(self.list, Arc::new(self.removed), self.walk)
    }
}
