"""Decides whether groups are on duty, by the documentation of Alertmanager's time intervals.

Reads {"groups": [{"duty": [...], "off_duty": [...]}], "instants": [[group, milliseconds], ...]} and prints a line with 1
or 0 for each instant.
"""

import calendar
import json
import sys
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
WEEKDAYS = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"]
MONTHS = [name.lower() for name in calendar.month_name]


def ends(text, names=()):
    """The two ends of a range such as `monday:friday`, as numbers."""
    first, _, last = str(text).lower().partition(":")
    number = lambda word: names.index(word) if word in names else int(word)
    return number(first), number(last or first)


def has_day(text, local):
    length = calendar.monthrange(local.year, local.month)[1]
    first, last = (day if day > 0 else length + 1 + day for day in ends(text))
    return first <= local.day <= last


def has_time(times, local):
    clock = local.strftime("%H:%M")
    return times["start_time"] <= clock < times["end_time"]


def contains(interval, instant):
    local = (EPOCH + timedelta(milliseconds=instant)).astimezone(ZoneInfo(interval.get("location", "UTC")))
    weekday = WEEKDAYS.index(local.strftime("%A").lower())
    within = lambda key, number, names=(): key not in interval or any(
        first <= number <= last for first, last in (ends(text, names) for text in interval[key])
    )
    return (
        ("times" not in interval or any(has_time(times, local) for times in interval["times"]))
        and within("weekdays", weekday, WEEKDAYS)
        and within("months", local.month, MONTHS)
        and within("years", local.year)
        and ("days_of_month" not in interval or any(has_day(text, local) for text in interval["days_of_month"]))
    )


def is_on(group, instant):
    duty, off_duty = group["duty"], group["off_duty"]
    return (not duty or any(contains(one, instant) for one in duty)) and not any(
        contains(one, instant) for one in off_duty
    )


task = json.load(sys.stdin)
for index, instant in task["instants"]:
    print(int(is_on(task["groups"][index], instant)))
