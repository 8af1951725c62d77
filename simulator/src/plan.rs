//! The planned faults, and their selection for a request.

use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;

use super::fault::{Effect, Fault, Kind, Subject};
use super::page_fault::PageFault;

/// The id of a planned fault, for [`Vendor::cancel`](super::Vendor::cancel).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FaultId(u64);

/// All planned faults, in the order of planning.
#[derive(Debug, Default)]
pub(super) struct Plan {
    rules: Vec<Rule>,
    named: u64,
}

#[derive(Debug)]
struct Rule {
    id: FaultId,
    fault: Fault,
    effect: Arc<Effect>,
    seen: u64,
    done: u64,
}

/// The effects that apply to one request.
#[derive(Debug, Default)]
pub(super) struct Decision(Vec<Arc<Effect>>);

impl Plan {
    /// Adds a fault.
    pub(super) fn add(&mut self, mut fault: Fault) -> FaultId {
        self.named += 1;
        let id = FaultId(self.named);
        // All matching requests share the effect, so it is stored in an `Arc` outside of the fault.
        let effect = std::mem::replace(&mut fault.effect, Effect::Hang);
        self.rules.push(Rule {
            id,
            fault,
            effect: Arc::new(effect),
            seen: 0,
            done: 0,
        });
        id
    }

    /// Removes a fault. Returns false if the fault is not planned.
    pub(super) fn cancel(&mut self, id: FaultId) -> bool {
        let before = self.rules.len();
        self.rules.retain(|rule| rule.id != id);
        self.rules.len() < before
    }

    /// Removes all faults.
    pub(super) fn clear(&mut self) {
        self.rules.clear();
    }

    /// Selects the effects on a request. Removes each fault that has applied often enough.
    pub(super) fn decide(&mut self, subject: &Subject<'_>) -> Decision {
        let mut chosen: Vec<Arc<Effect>> = Vec::new();
        for rule in self
            .rules
            .iter_mut()
            .filter(|rule| rule.fault.matches(subject))
        {
            let kind = rule.effect.kind();
            let taken = kind != Kind::Other && chosen.iter().any(|effect| effect.kind() == kind);
            if taken {
                continue;
            }
            rule.seen += 1;
            if rule.seen > rule.fault.skip && rule.done < rule.fault.times {
                rule.done += 1;
                chosen.push(Arc::clone(&rule.effect));
            }
        }
        self.rules.retain(|rule| rule.done < rule.fault.times);
        Decision(chosen)
    }
}

impl Decision {
    /// The effect that replaces the response, if any.
    pub(super) fn replacement(&self) -> Option<&Effect> {
        self.of(Kind::Replacement)
    }

    /// The effect on how the body is sent, if any.
    pub(super) fn transfer(&self) -> Option<&Effect> {
        self.of(Kind::Transfer)
    }

    fn of(&self, kind: Kind) -> Option<&Effect> {
        self.0
            .iter()
            .map(AsRef::as_ref)
            .find(|effect| effect.kind() == kind)
    }

    /// All effects on the request.
    pub(super) fn effects(&self) -> impl Iterator<Item = &Effect> {
        self.0.iter().map(AsRef::as_ref)
    }

    /// The effects that are page faults.
    pub(super) fn page_faults(&self) -> Vec<&PageFault> {
        let mut faults = Vec::new();
        for effect in self.effects() {
            if let Effect::Page(fault) = effect {
                faults.push(fault);
            }
        }
        faults
    }

    /// The total delay of the response.
    pub(super) fn delay(&self) -> Duration {
        let delay = |effect: &Effect| match effect {
            Effect::Delay(delay) => *delay,
            _ => Duration::ZERO,
        };
        self.effects().map(delay).sum()
    }

    /// The total error of the `Date` header.
    pub(super) fn clock(&self) -> SignedDuration {
        let clock = |effect: &Effect| match effect {
            Effect::Clock(skew) => *skew,
            _ => SignedDuration::ZERO,
        };
        self.effects()
            .map(clock)
            .fold(SignedDuration::ZERO, SignedDuration::saturating_add)
    }
}
