//! Working hours of agents, in the time zone of the simulation.

const DAY: i64 = 86_400;
/// The offset of Indian Standard Time from UTC, in seconds.
pub(super) const INDIA: i64 = 19_800;

/// The working hours of an agent, in the time zone of the simulation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shift {
    /// 09:00 to 18:00.
    Morning,
    /// 13:00 to 22:00.
    Evening,
    /// 21:00 to 06:00.
    Night,
}

impl Shift {
    /// The start of the shift in seconds after local midnight, and its length in seconds.
    fn hours(self) -> (i64, i64) {
        match self {
            Self::Morning => (9 * 3600, 9 * 3600),
            Self::Evening => (13 * 3600, 9 * 3600),
            Self::Night => (21 * 3600, 9 * 3600),
        }
    }

    /// The next start after `now`, in Unix seconds. Local time is `zone` seconds ahead of UTC.
    pub(super) fn next_start(self, now: i64, zone: i64) -> i64 {
        let (start, _) = self.hours();
        let midnight = (now + zone).div_euclid(DAY) * DAY - zone;
        let today = midnight + start;
        if today > now { today } else { today + DAY }
    }

    /// Returns the start and the end of the current shift. In the last hour of a shift and between
    /// shifts, returns the start and the end of the next shift.
    pub(super) fn around(self, now: i64, zone: i64) -> (i64, i64) {
        let (_, length) = self.hours();
        let next = self.next_start(now, zone);
        let start = if next - DAY + length > now + 3600 {
            next - DAY
        } else {
            next
        };
        (start, start + length)
    }

    /// The percentage of agents that are absent from the shift with this start.
    pub(super) fn absence(self, start: i64, zone: i64) -> u32 {
        // Day 0 (1 January 1970) was a Thursday. A Sunday's day number plus 4 is a multiple of 7.
        let weekday = ((start + zone).div_euclid(DAY) + 4).rem_euclid(7);
        let weekend = weekday == 0 || weekday == 6;
        match self {
            _ if !weekend => 6,
            // Night shifts also serve countries whose weekend is on other days, so fewer agents are
            // absent.
            Self::Night => 40,
            Self::Morning | Self::Evening => 70,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Monday 2 March 2026, 10:00 in India.
    const MONDAY_AT_TEN: i64 = 1_772_425_800;

    #[test]
    fn a_morning_shift_is_under_way_at_ten() {
        let (start, end) = Shift::Morning.around(MONDAY_AT_TEN, INDIA);
        assert_eq!(start, MONDAY_AT_TEN - 3600);
        assert_eq!(end, start + 9 * 3600);
    }

    #[test]
    fn a_night_shift_reaches_over_midnight() {
        let three_at_night = MONDAY_AT_TEN + 17 * 3600;
        let (start, end) = Shift::Night.around(three_at_night, INDIA);
        assert!(start < three_at_night && three_at_night < end);
        assert_eq!(Shift::Night.next_start(three_at_night, INDIA), start + DAY);
    }

    #[test]
    fn most_agents_stay_at_home_on_sundays() {
        assert!(Shift::Morning.absence(MONDAY_AT_TEN, INDIA) < 10);
        assert!(Shift::Morning.absence(MONDAY_AT_TEN - DAY, INDIA) > 50);
    }

    #[test]
    fn events_of_another_time_zone_have_its_weekday() {
        assert!(Shift::Morning.absence(MONDAY_AT_TEN, INDIA - DAY) > 50);
        let (start, _) = Shift::Morning.around(MONDAY_AT_TEN, INDIA - 3600);
        assert_eq!(start, MONDAY_AT_TEN, "it is nine there");
    }
}
