//! The history of an image config: one line for each instruction, all with the same date.

use image_layers::History;

/// Longer texts are cut: a heredoc of a megabyte has no place in a config.
const TEXT_BYTES: usize = 16 * 1024;

/// One instruction of this build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HistoryLine {
    pub(crate) text: String,
    /// Index of the layer it made.
    pub(crate) layer: Option<usize>,
}

impl HistoryLine {
    /// As it stands in the config; `has_layer` is known once the layer is packed.
    pub(crate) fn entry(&self, created: &str, has_layer: bool) -> History {
        let mut text = self.text.clone();
        if text.len() > TEXT_BYTES {
            let end = (0..=TEXT_BYTES).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0);
            text.truncate(end);
            text.push('…');
        }
        History { created: Some(created.to_owned()), created_by: Some(text), empty_layer: !has_layer, ..History::default() }
    }
}

/// Seconds since 1970 as RFC 3339 in UTC; `None` outside the years 0 to 9999, which the format cannot write.
pub(crate) fn rfc3339(epoch: i64) -> Option<String> {
    let (days, seconds) = (epoch.div_euclid(86_400), epoch.rem_euclid(86_400));
    let (year, month, day) = date(days)?;
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    Some(format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"))
}

/// Year, month and day of a day number since 1970-01-01. Years are counted from March, so that the leap day is the last.
fn date(days: i64) -> Option<(i64, i64, i64)> {
    // Far more than 10,000 years either way; keeps the arithmetic from overflowing.
    if !(-1_000_000..=4_000_000).contains(&days) {
        return None;
    }
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (0..=9999).contains(&year).then_some((year, month, day))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (epoch, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_700_000_000, "2023-11-14T22:13:20Z"),
            (4_102_444_800, "2100-01-01T00:00:00Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(rfc3339(epoch).as_deref(), Some(text));
        }
        assert_eq!((rfc3339(253_402_300_800), rfc3339(i64::MAX), rfc3339(i64::MIN)), (None, None, None));
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let line = HistoryLine { text: "é".repeat(TEXT_BYTES), layer: None };
        let entry = line.entry("d", false);
        let text = entry.created_by.expect("text");
        assert!(text.ends_with("é…") && text.len() <= TEXT_BYTES + 3 && entry.empty_layer);
    }
}
