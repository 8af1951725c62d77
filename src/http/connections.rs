//! The open connections: the places that they take, and the choice of the connection that makes way for another one.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::{activity::Activity, limits_and_timeouts::Settings};
use crate::telemetry::{Instruments, labels::ConnectionOutcome};

/// Minimum time between two log lines about the same outcome.
const LOG_PAUSE: Duration = Duration::from_secs(60);

/// The open connections of a server.
///
/// A limited number of them have a place: they are served everything. Above this limit, a new connection is served
/// health checks only, until it sends another request. It then takes the place of the least active connection.
pub(super) struct Connections {
    max_places: usize,
    max_without_place: usize,
    table: Mutex<Table>,
    instruments: Instruments,
}

#[derive(Default)]
struct Table {
    with_place: Vec<Arc<Activity>>,
    without_place: Vec<Arc<Activity>>,
    logged: [Logged; ConnectionOutcome::ALL.len()],
}

/// The log lines about one outcome.
#[derive(Default, Clone, Copy)]
struct Logged {
    at: Option<Instant>,
    /// The connections that have ended since the last line.
    not_logged: u64,
}

impl Connections {
    pub(super) fn new(settings: &Settings, instruments: Instruments) -> Self {
        Self {
            max_places: settings.max_connections.max(1),
            max_without_place: settings.max_health_connections.max(1),
            table: Mutex::default(),
            instruments,
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // Each change is complete in itself, so a panic elsewhere leaves a usable table.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a new connection. Evicts the least active connection without a place if too many are open.
    pub(super) fn add(&self) -> Arc<Activity> {
        let mut table = self.table();
        let has_place = table.with_place.len() < self.max_places;
        let activity = Arc::new(Activity::new(has_place));
        if has_place {
            table.with_place.push(Arc::clone(&activity));
        } else {
            if table.without_place.len() >= self.max_without_place {
                evict_least_active(&mut table.without_place);
            }
            table.without_place.push(Arc::clone(&activity));
        }
        activity
    }

    /// Gives a place to a connection that needs one. Evicts the least active connection if no place is free.
    pub(super) fn take_place(&self, activity: &Arc<Activity>) {
        if activity.has_place() {
            return;
        }
        let mut table = self.table();
        let is_this = |one: &Arc<Activity>| Arc::ptr_eq(one, activity);
        let Some(position) = table.without_place.iter().position(is_this) else {
            // The connection has been evicted.
            return;
        };
        let this = table.without_place.swap_remove(position);
        if table.with_place.len() >= self.max_places {
            evict_least_active(&mut table.with_place);
        }
        this.give_place();
        table.with_place.push(this);
    }

    /// Evicts connections with several responses, until all connections together have at most as many responses as
    /// places. Each response without compression takes memory, even if its client does not read.
    pub(super) fn limit_responses(&self) {
        let mut table = self.table();
        let connections = &mut table.with_place;
        let mut responses: usize = connections.iter().map(|one| one.responses()).sum();
        while responses > self.max_places {
            let several = connections.iter().enumerate();
            let several = several.filter(|(_, one)| one.responses() > 1);
            let least = several.min_by_key(|(_, one)| {
                let rank = one.rank();
                (rank.is_scraper, rank.bytes)
            });
            let Some((position, _)) = least else { return };
            let evicted = connections.swap_remove(position);
            responses -= evicted.responses();
            evicted.evict();
        }
    }

    /// Evicts the least active connection, because the process has no free file descriptor.
    pub(super) fn evict_any(&self) {
        let mut table = self.table();
        let Table {
            with_place,
            without_place,
            ..
        } = &mut *table;
        evict_least_active(if without_place.is_empty() {
            with_place
        } else {
            without_place
        });
    }

    /// Removes a connection that has ended. Counts its outcome, and logs it at most once a minute.
    pub(super) fn remove(&self, activity: &Arc<Activity>) {
        let is_other = |one: &Arc<Activity>| !Arc::ptr_eq(one, activity);
        let outcome = activity.outcome();
        self.instruments.http_connection(outcome);
        let mut table = self.table();
        table.with_place.retain(is_other);
        table.without_place.retain(is_other);
        let logged = &mut table.logged[outcome as usize];
        logged.not_logged += 1;
        let is_due = |at: Instant| at.elapsed() >= LOG_PAUSE;
        let is_usual = matches!(
            outcome,
            ConnectionOutcome::Closed | ConnectionOutcome::IdleTimeout
        );
        if is_usual || !logged.at.is_none_or(is_due) {
            return;
        }
        let connections = std::mem::take(&mut logged.not_logged);
        logged.at = Some(Instant::now());
        drop(table);
        let outcome = outcome.label();
        tracing::warn!(outcome, connections, "connections of clients were ended");
    }
}

/// Removes the least active connection, and ends it. Scrapers go last, new connections with a response before them, and
/// other new connections before those. Among equals, the connection with the fewest bytes goes first.
///
/// If most connections are scrapers, they are probably none. They are then ranked like the others, so that they do not
/// keep new clients out.
fn evict_least_active(connections: &mut Vec<Arc<Activity>>) {
    let ranks: Vec<_> = connections.iter().map(|one| one.rank()).collect();
    let scrapers = ranks.iter().filter(|rank| rank.is_scraper).count();
    let protects_scrapers = 2 * scrapers <= ranks.len();
    let least = ranks.iter().enumerate().min_by_key(|(_, rank)| {
        let is_scraper = protects_scrapers && rank.is_scraper;
        let is_new = (rank.is_new, rank.is_served);
        (is_scraper, is_new, rank.bytes, rank.last_byte)
    });
    if let Some((position, _)) = least {
        connections.swap_remove(position).evict();
    }
}
