//! Times as rpm prints them in the C locale, in UTC.

const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// A moment in the calendar (Howard Hinnant's days_from_civil turned round: eras of 400 years that begin in March).
struct Civil {
    year: i64,
    month: usize,
    day: i64,
    weekday: usize,
    second: i64,
}

fn civil(seconds: i64) -> Civil {
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let shifted = days + 719_468; // days since 0000-03-01
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let month = if from_march < 10 { from_march + 2 } else { from_march - 10 }; // 0 is January
    Civil {
        year: year_of_era + era * 400 + i64::from(month < 2),
        month: usize::try_from(month).unwrap_or_default(),
        day: of_year - (153 * from_march + 2) / 5 + 1,
        weekday: usize::try_from(days.rem_euclid(7)).unwrap_or_default(),
        second,
    }
}

/// `Wed Nov 25 15:06:47 2026`.
pub(super) fn date(seconds: u64) -> String {
    // Beyond the year 292 billion there is no calendar; rpm prints nothing then.
    let Some(c) = i64::try_from(seconds).ok().filter(|s| *s < 1 << 55).map(civil) else { return String::new() };
    let (hour, minute, second) = (c.second / 3600, c.second / 60 % 60, c.second % 60);
    format!("{} {} {:2} {hour:02}:{minute:02}:{second:02} {}", name(&DAYS, c.weekday), name(&MONTHS, c.month), c.day, c.year)
}

/// `Wed Nov 25 2026`.
pub(super) fn day(seconds: u64) -> String {
    let Some(c) = i64::try_from(seconds).ok().filter(|s| *s < 1 << 55).map(civil) else { return String::new() };
    format!("{} {} {:02} {}", name(&DAYS, c.weekday), name(&MONTHS, c.month), c.day, c.year)
}

fn name(names: &[&'static str], at: usize) -> &'static str {
    names.get(at).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_fall_where_the_calendar_has_them() {
        for (seconds, expected) in [
            (0, "Thu Jan  1 00:00:00 1970"),
            (951_782_399, "Mon Feb 28 23:59:59 2000"),
            (951_782_400, "Tue Feb 29 00:00:00 2000"),
            (1_795_619_207, "Wed Nov 25 15:06:47 2026"),
            (4_107_542_400, "Mon Mar  1 00:00:00 2100"),
        ] {
            assert_eq!(date(seconds), expected);
        }
        assert_eq!(day(0), "Thu Jan 01 1970");
        assert_eq!(date(u64::MAX), "");
    }
}
