//! The grammar of duty is that of Alertmanager: `amtool` accepts the same intervals, and an independent program finds
//! the same times.

use std::{fmt::Write, ops::RangeInclusive};

use fastrand::Rng;
use serde_json::{Value, json};
use vobiz_exporter::{clock::UnixMillis, config, duty::Duty};

use crate::harness::{judge, python, tool};

const GROUPS: usize = 200;
const INSTANTS: usize = 10_000;

const ZONES: [&str; 7] = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "Pacific/Kiritimati",
    "America/St_Johns",
];

/// Changes of the clocks in Berlin and in New York in 2026, in seconds since 1970.
const CLOCK_CHANGES: [i64; 4] = [1_774_746_000, 1_792_890_000, 1_772_953_200, 1_793_512_800];

const YEARS: RangeInclusive<i64> = 2024..=2030;

/// Some items of a field, each made by `item`.
fn list(random: &mut Rng, item: impl Fn(&mut Rng) -> Value) -> Value {
    let number = random.usize(1..=3);
    (0..number).map(|_| item(random)).collect()
}

/// A range of two numbers from `numbers` in order, or one number, with `name` for each.
fn range(random: &mut Rng, numbers: RangeInclusive<i64>, name: impl Fn(i64) -> String) -> Value {
    let mut ends = [random.i64(numbers.clone()), random.i64(numbers)];
    ends.sort_unstable();
    if random.bool() {
        return name(ends[0]).into();
    }
    format!("{}:{}", name(ends[0]), name(ends[1])).into()
}

fn times(random: &mut Rng) -> Value {
    let mut ends = [random.u32(0..=96), random.u32(0..=96)];
    ends.sort_unstable();
    let [start, end] = if ends[0] == ends[1] { [0, 96] } else { ends };
    let text = |quarter: u32| format!("{:02}:{:02}", quarter / 4, quarter % 4 * 15);
    json!({"start_time": text(start), "end_time": text(end)})
}

fn day(random: &mut Rng) -> Value {
    match random.u8(0..4) {
        0 => random.i64(1..=31).into(),
        1 => range(random, 1..=31, |day| day.to_string()),
        2 => range(random, -28..=-1, |day| day.to_string()),
        _ => format!("{}:{}", random.i64(1..=14), random.i64(-14..=-1)).into(),
    }
}

fn interval(random: &mut Rng) -> Value {
    let weekday = |day: i64| {
        let names = [
            "sunday",
            "Monday",
            "tuesday",
            "Wednesday",
            "thursday",
            "FRIDAY",
            "saturday",
        ];
        names[usize::try_from(day).unwrap()].to_owned()
    };
    let month = |random: &mut Rng| {
        let names = ["january", "march", "june", "october", "december"];
        if random.bool() {
            return random.choice(names).into();
        }
        range(random, 1..=12, |month| month.to_string())
    };
    let mut interval = json!({"location": random.choice(ZONES)});
    let mut add = |random: &mut Rng, key: &str, chance: f64, item: &dyn Fn(&mut Rng) -> Value| {
        if random.f64() < chance {
            interval[key] = list(random, item);
        }
    };
    add(random, "times", 0.8, &times);
    add(random, "weekdays", 0.4, &|random| {
        range(random, 0..=6, weekday)
    });
    add(random, "days_of_month", 0.3, &day);
    add(random, "months", 0.3, &month);
    add(random, "years", 0.2, &|random| {
        range(random, YEARS, |year| year.to_string())
    });
    interval
}

/// Groups with random intervals.
fn groups(random: &mut Rng) -> Vec<Value> {
    let intervals = |random: &mut Rng, most| -> Value {
        let number = random.usize(0..=most);
        (0..number).map(|_| interval(random)).collect()
    };
    let group = |_| json!({"duty": intervals(random, 3), "off_duty": intervals(random, 1)});
    (0..GROUPS).map(group).collect()
}

/// An instant of one of the years, or near a change of the clocks.
fn instant(random: &mut Rng) -> i64 {
    if random.bool() {
        let years = (YEARS.end() - YEARS.start() + 1) * 365;
        return 1_704_067_200_000 + random.i64(0..years * 24 * 3600 * 1000);
    }
    let change = random.choice(CLOCK_CHANGES).unwrap();
    change * 1000 + random.i64(-90_000_000..90_000_000)
}

/// The duty of each group after the exporter has read it.
fn read(groups: &[Value]) -> Vec<Duty> {
    let mut yaml = "accounts:\n- name: main\n  auth_id: a\n  auth_token: t\n  groups:\n".to_owned();
    for (number, group) in groups.iter().enumerate() {
        write!(yaml, "  - {{name: g{number}, match: {{alias: x}}").unwrap();
        for key in ["duty", "off_duty"] {
            if group[key] != json!([]) {
                write!(yaml, ", {key}: {}", group[key]).unwrap();
            }
        }
        yaml += "}\n";
    }
    let loaded = config::load_yaml(&yaml, &[]).unwrap_or_else(|errors| panic!("{errors}"));
    let groups = loaded.config.accounts[0].groups.iter();
    groups.map(|group| group.duty.clone()).collect()
}

#[tokio::test]
async fn an_independent_program_finds_the_same_duty_at_ten_thousand_instants() {
    let mut random = Rng::with_seed(16);
    let groups = groups(&mut random);
    let duties = read(&groups);
    let instants: Vec<_> = (0..INSTANTS)
        .map(|number| (number % GROUPS, instant(&mut random)))
        .collect();
    let task = json!({"groups": groups, "instants": instants}).to_string();
    let reference = judge(&python(), &["-c", include_str!("reference.py")], &task).await;
    assert_eq!(reference.code, Some(0), "{reference:?}");
    let expected: Vec<_> = reference.out.lines().map(|line| line == "1").collect();
    assert_eq!(expected.len(), INSTANTS);
    for (&(group, instant), expected) in instants.iter().zip(&expected) {
        let is_on = duties[group].is_on(UnixMillis(instant));
        assert_eq!(is_on, *expected, "{}, {instant}", groups[group]);
    }
    let on = expected.iter().filter(|is_on| **is_on).count();
    assert!((1_000..9_000).contains(&on), "{on}");
}

#[tokio::test]
async fn amtool_accepts_the_same_intervals() {
    let groups = groups(&mut Rng::with_seed(16));
    read(&groups);
    let intervals = groups
        .iter()
        .flat_map(|group| [&group["duty"], &group["off_duty"]]);
    let intervals = intervals.enumerate().map(
        |(number, intervals)| json!({"name": format!("i{number}"), "time_intervals": intervals}),
    );
    let configuration = json!({
        "route": {"receiver": "none"},
        "receivers": [{"name": "none"}],
        "time_intervals": intervals.collect::<Value>(),
    });
    let file = tempfile::NamedTempFile::with_suffix(".yml").unwrap();
    std::fs::write(file.path(), configuration.to_string()).unwrap();
    let path = file.path().to_str().unwrap();
    let checked = judge(&tool("AMTOOL", "amtool"), &["check-config", path], "").await;
    assert!(
        checked.code == Some(0) && checked.out.contains("SUCCESS"),
        "{checked:?}"
    );
}
