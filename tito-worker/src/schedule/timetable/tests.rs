#![allow(clippy::unwrap_used)]

use chrono::{SecondsFormat, TimeZone};
use proptest::prelude::*;
use proptest::test_runner::Config;

use super::*;

fn cron(expression: &str, time_zone: &str) -> Timetable {
    let recurrence = Recurrence::Cron { expression: expression.to_string(), time_zone: time_zone.to_string() };
    Timetable::new(&recurrence, 0).unwrap()
}

fn every(seconds: u64, starts_at: i64) -> Timetable {
    Timetable::new(&Recurrence::Every { seconds }, starts_at).unwrap()
}

fn seconds(text: &str) -> i64 {
    text.parse::<DateTime<chrono::Utc>>().unwrap().timestamp()
}

/// The firings of a day of Berlin, in Berlin's time.
fn of_day_in_berlin(expression: &str, year: i32, month: u32, day: u32) -> Vec<String> {
    let zone = chrono_tz::Europe::Berlin;
    let table = cron(expression, "Europe/Berlin");
    let midnight = zone.with_ymd_and_hms(year, month, day, 0, 0, 0).unwrap();
    let next_midnight = (midnight + chrono::Days::new(1)).timestamp();
    firings(&table, midnight.timestamp() - 1, next_midnight - 1)
        .into_iter()
        .map(|second| zone.timestamp_opt(second, 0).unwrap().to_rfc3339_opts(SecondsFormat::Secs, false))
        .map(|text| text["2026-00-00T".len()..].to_string())
        .collect()
}

fn firings(table: &Timetable, after: i64, until: i64) -> Vec<i64> {
    let next = |second: &i64| table.next_after(*second).filter(|next| *next <= until);
    std::iter::successors(next(&after), next).collect()
}

#[test]
fn the_last_of_many_firings_are_found() {
    let midnight = seconds("2026-01-15T00:00:00Z");
    for table in [
        every(2, midnight),
        cron("*/2 * * * * *", "UTC"),
        cron("0 * * * *", "Europe/Berlin"),
        cron("* 3 * * * *", "UTC"),
    ] {
        let first = table.next_after(midnight).unwrap();
        for (until, most) in [(7_200, 0), (7_200, 1), (7_200, 7), (15_000, 100), (15_000, 9_999_999), (2, 5)] {
            let until = midnight + until;
            let all = firings(&table, first - 1, until);
            let before = all.len().saturating_sub(most as usize);
            let expected = all.get(before).copied().or_else(|| table.next_after(until.max(first - 1)));
            assert_eq!(table.last_of(first, until, most), (expected, before as u64), "{until} {most}");
        }
    }
    let (found, before) = cron("* * * * * *", "UTC").last_of(0, midnight, 10);
    assert_eq!(found, Some(midnight - 9));
    assert!((10_000..10_100).contains(&before), "{before}");
}

#[test]
fn an_interval_that_was_begun_later_than_now_is_begun_now() {
    let table = every(10, 1_000);
    assert_eq!((table.sooner(1_030, 1_025), table.sooner(1_040, 1_030)), (None, None));
    assert_eq!(table.sooner(4_630, 1_025), Some(1_030));
    assert_eq!((table.sooner(1_030, 995), table.sooner(1_030, 1_019)), (Some(1_000), Some(1_020)));
    assert_eq!(cron("0 3 * * *", "UTC").sooner(9_999_999, 5), None);
}

#[test]
fn an_expression_means_local_time() {
    let winter = seconds("2026-01-15T00:00:00Z");
    assert_eq!(cron("0 3 * * *", "UTC").next_after(winter), Some(seconds("2026-01-15T03:00:00Z")));
    assert_eq!(cron("0 3 * * *", "Europe/Berlin").next_after(winter), Some(seconds("2026-01-15T02:00:00Z")));
    assert_eq!(cron("0 3 * * *", "Asia/Kolkata").next_after(winter), Some(seconds("2026-01-15T21:30:00Z")));
}

#[test]
fn a_sixth_field_in_front_is_seconds_and_weekdays_count_from_sunday() {
    let sunday = seconds("2026-01-04T00:00:00Z");
    assert_eq!(cron("*/20 * * * * *", "UTC").next_after(sunday), Some(sunday + 20));
    assert_eq!(cron("0 12 * * 1", "UTC").next_after(sunday), Some(seconds("2026-01-05T12:00:00Z")));
    assert_eq!(cron("0 12 * * MON", "UTC").next_after(sunday), Some(seconds("2026-01-05T12:00:00Z")));
    assert_eq!(cron("@daily", "UTC").next_after(sunday), Some(seconds("2026-01-05T00:00:00Z")));
    assert_eq!(cron("0 0 29 2 *", "UTC").next_after(sunday), Some(seconds("2028-02-29T00:00:00Z")));
}

#[test]
fn names_mean_what_cron_means_by_them() {
    let names = [
        ("@hourly", "0 * * * *"),
        ("@daily", "0 0 * * *"),
        ("@midnight", "0 0 * * *"),
        (" @Midnight ", "0 0 * * *"),
        ("@weekly", "0 0 * * 0"),
        ("@monthly", "0 0 1 * *"),
        ("@yearly", "0 0 1 1 *"),
        ("@annually", "0 0 1 1 *"),
    ];
    let after = seconds("2026-01-15T10:20:30Z");
    for (name, fields) in names {
        let (named, spelt) = (cron(name, "Europe/Berlin"), cron(fields, "Europe/Berlin"));
        let firings = |table: &Timetable| firings(table, after, after + 800 * 86_400);
        assert_eq!(firings(&named), firings(&spelt), "{name}");
    }
}

#[test]
fn days_are_told_as_the_guide_says() {
    let new_year = seconds("2026-01-01T00:00:00Z");
    for (expression, day) in [
        ("0 0 L * *", "2026-01-31"),
        ("0 0 31W 1 *", "2026-01-30"),
        ("0 0 * * 5#2", "2026-01-09"),
        ("0 0 * * 5L", "2026-01-30"),
        ("0 0 15 * MON", "2026-01-05"),
        ("0 0 15 * +MON", "2026-06-15"),
        ("0 0 * * 7", "2026-01-04"),
        ("0 0 15 FEB-DEC *", "2026-02-15"),
    ] {
        let next = Some(seconds(&format!("{day}T00:00:00Z")));
        assert_eq!(cron(expression, "UTC").next_after(new_year), next, "{expression}");
    }
}

#[test]
fn a_time_of_day_that_clocks_skip_is_fired_when_they_have_skipped_it() {
    assert_eq!(of_day_in_berlin("30 2 * * *", 2026, 3, 28), ["02:30:00+01:00"]);
    assert_eq!(of_day_in_berlin("30 2 * * *", 2026, 3, 29), ["03:00:00+02:00"]);
    assert_eq!(of_day_in_berlin("30 2 * * *", 2026, 3, 30), ["02:30:00+02:00"]);
}

#[test]
fn a_time_of_day_that_clocks_repeat_is_fired_the_first_time() {
    assert_eq!(of_day_in_berlin("30 2 * * *", 2026, 10, 24), ["02:30:00+02:00"]);
    assert_eq!(of_day_in_berlin("30 2 * * *", 2026, 10, 25), ["02:30:00+02:00"]);
    assert_eq!(of_day_in_berlin("30 2 * * *", 2026, 10, 26), ["02:30:00+01:00"]);
}

#[test]
fn times_that_recur_within_a_day_are_skipped_and_repeated_with_the_clocks() {
    let spring = of_day_in_berlin("*/30 1-3 * * *", 2026, 3, 29);
    assert_eq!(spring, ["01:00:00+01:00", "01:30:00+01:00", "03:00:00+02:00", "03:30:00+02:00"]);
    let autumn = of_day_in_berlin("30 2,3 * * *", 2026, 10, 25);
    assert_eq!(autumn, ["02:30:00+02:00", "02:30:00+01:00", "03:30:00+01:00"]);
}

#[test]
fn an_hourly_expression_fires_every_hour_whatever_clocks_do() {
    for (from, until) in
        [("2026-03-28T00:00:00Z", "2026-03-30T00:00:00Z"), ("2026-10-24T00:00:00Z", "2026-10-26T00:00:00Z")]
    {
        let fired = firings(&cron("15 * * * *", "Europe/Berlin"), seconds(from), seconds(until));
        assert_eq!(fired.len(), 48);
        assert!(fired.windows(2).all(|pair| pair[1] - pair[0] == 3600), "{fired:?}");
    }
}

#[test]
fn intervals_are_counted_from_the_start() {
    let table = every(30, 1000);
    assert_eq!(table.next_after(0), Some(1000));
    assert_eq!(table.next_after(999), Some(1000));
    assert_eq!(table.next_after(1000), Some(1030));
    assert_eq!(table.next_after(1029), Some(1030));
    assert_eq!(table.next_after(100_000), Some(100_030));
    assert_eq!(every(u64::MAX / 2, 1).next_after(1), None);
}

#[test]
fn an_expression_has_no_firing_before_the_start_and_may_have_a_last_one() {
    let recurrence = Recurrence::Cron { expression: "0 0 * * *".to_string(), time_zone: "UTC".to_string() };
    let table = Timetable::new(&recurrence, seconds("2027-01-01T00:00:00Z")).unwrap();
    assert_eq!(table.next_after(0), Some(seconds("2027-01-01T00:00:00Z")));
    let table = cron("0 0 0 1 1 * 2027", "UTC");
    assert_eq!(table.next_after(seconds("2026-05-05T00:00:00Z")), Some(seconds("2027-01-01T00:00:00Z")));
    assert_eq!(table.next_after(seconds("2027-01-01T00:00:00Z")), None);
}

#[test]
fn expressions_that_never_fire_are_found_out() {
    for expression in ["0 0 30 2 *", "0 0 31 4,6,9,11 *", "0 0 0 1 1 * 1999"] {
        assert_eq!(cron(expression, "UTC").next_after(seconds("2026-01-01T00:00:00Z")), None, "{expression}");
    }
}

fn field(least: u32, most: u32) -> impl Strategy<Value = String> {
    prop_oneof![
        3 => Just("*".to_string()),
        3 => (least..=most).prop_map(|value| value.to_string()),
        1 => (2..=most / 2).prop_map(|step| format!("*/{step}")),
        1 => (least..=most, least..=most).prop_map(|(a, b)| format!("{}-{}", a.min(b), a.max(b))),
        1 => (least..=most, least..=most).prop_map(|(a, b)| format!("{a},{b}")),
    ]
}

fn timetables() -> impl Strategy<Value = Timetable> {
    let zone = prop::sample::select(vec![
        "UTC",
        "Europe/Berlin",
        "America/New_York",
        "Asia/Kathmandu",
        "Australia/Lord_Howe",
        "Africa/Cairo",
        "America/Santiago",
        "Pacific/Chatham",
    ]);
    let expressions = (field(0, 59), field(0, 59), field(0, 23), field(1, 28), field(1, 12), field(0, 6));
    prop_oneof![
        4 => (expressions, zone).prop_map(|((second, minute, hour, day, month, weekday), zone)| {
            cron(&format!("{second} {minute} {hour} {day} {month} {weekday}"), zone)
        }),
        1 => (1_u64..100_000, 0_i64..2_000_000_000).prop_map(|(seconds, start)| every(seconds, start)),
    ]
}

/// Near a change of clocks as often as not.
fn instants() -> impl Strategy<Value = i64> {
    let changes = ["2026-03-29T01:00:00Z", "2026-10-25T01:00:00Z", "2026-04-04T15:00:00Z", "2026-04-23T22:00:00Z"];
    prop_oneof![
        1_700_000_000_i64..1_900_000_000,
        (prop::sample::select(changes.map(seconds).to_vec()), -10_000_i64..10_000).prop_map(|(at, by)| at + by),
    ]
}

proptest! {
    #![proptest_config(Config { cases: 1_000, failure_persistence: None, ..Config::default() })]

    #[test]
    fn firings_ascend_and_none_lies_between_them(table in timetables(), after in instants(), part in 0.0..1.0_f64) {
        let mut last = after;
        for _ in 0..20 {
            let Some(next) = table.next_after(last) else { break };
            prop_assert!(next > last);
            // From anywhere in between, the same firing follows.
            let between = last + ((next - last - 1) as f64 * part) as i64;
            prop_assert_eq!(table.next_after(between), Some(next), "from {}", between);
            last = next;
        }
    }

    #[test]
    fn the_last_firing_is_that_of_the_list(table in timetables(), after in instants(), length in 0_i64..5_000) {
        if let Some(first) = table.next_after(after) {
            let until = first + length;
            prop_assert_eq!(Some(table.last_until(first, until)), firings(&table, after, until).pop());
        }
    }

    #[test]
    fn any_text_is_an_expression_or_an_error(expression in "[-0-9*/,#LW+?@A-Za-z é]{0,30}", zone in "[A-Za-z/_]{0,12}") {
        for time_zone in ["UTC".to_string(), zone] {
            let recurrence = Recurrence::Cron { expression: expression.clone(), time_zone };
            if let Ok(table) = Timetable::new(&recurrence, 0) {
                table.next_after(1_700_000_000);
            }
        }
    }
}
