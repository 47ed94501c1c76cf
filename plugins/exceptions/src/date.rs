//! A day of the calendar, in UTC.

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

const DAY: u64 = 24 * 60 * 60;

/// A day, written `2027-03-31`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date {
    year: u64,
    month: u64,
    day: u64,
}

impl Date {
    /// The day that a text names; none if it names none.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let mut number = |digits: usize| {
            let part = parts.next()?;
            let right = part.len() == digits && part.bytes().all(|byte| byte.is_ascii_digit());
            if right { part.parse::<u64>().ok() } else { None }
        };
        let date = Self { year: number(4)?, month: number(2)?, day: number(2)? };
        let known = (1970..=9999).contains(&date.year) && (1..=12).contains(&date.month);
        let right = parts.next().is_none() && known && (1..=date.days()).contains(&date.day);
        right.then_some(date)
    }

    /// The days of its month.
    fn days(self) -> u64 {
        match self.month {
            2 if is_leap(self.year) => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        }
    }

    /// When it begins, in seconds since 1970.
    pub fn begins(self) -> u64 {
        let years: u64 = (1970..self.year).map(|year| if is_leap(year) { 366 } else { 365 }).sum();
        let months: u64 = (1..self.month).map(|month| Self { month, ..self }.days()).sum();
        (years + months + self.day - 1) * DAY
    }

    /// Whether a time in seconds since 1970 is not after it.
    pub fn lasts_at(self, now: u64) -> bool {
        now < self.begins() + DAY
    }
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400)
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

impl<'de> Deserialize<'de> for Date {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text)
            .ok_or_else(|| de::Error::custom(format!("{text:?} is no day like 2027-03-31")))
    }
}

impl JsonSchema for Date {
    fn schema_name() -> Cow<'static, str> {
        "Date".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_one_of_the_calendar() {
        for (text, begins) in [
            ("1970-01-01", 0),
            ("1970-03-01", 59 * DAY),
            ("2000-02-29", 951_782_400),
            ("2026-11-27", 1_795_737_600),
        ] {
            let date = Date::parse(text).expect(text);
            assert_eq!((date.begins(), date.to_string()), (begins, text.to_string()));
        }
        for text in [
            "",
            "2027",
            "2027-3-31",
            "2027-02-29",
            "2027-13-01",
            "2027-00-10",
            "2027-01-00",
            "2027-04-31",
            "1969-12-31",
            "2027-01-01-",
            "+027-01-01",
            "31-03-2027",
            "2027-01-01T00",
        ] {
            assert_eq!(Date::parse(text), None, "{text:?}");
        }
    }
}
