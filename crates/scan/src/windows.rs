//! Do six letters and digits that belong to a known value go by?

use crate::filter::{Filter, SPREAD, Spread};
use crate::fold::{Letters, WINDOW, Window};
use std::collections::HashMap;
use std::ops::Range;

/// The windows of all forms, and where in them each stands.
///
/// A window of six letters has two parts of five, and one of these begins at an even place, wherever the window stands;
/// or three of four, of which one begins at every third. So only such places are looked up while a text goes by, and
/// whether a window is there is still told exactly.
pub(crate) struct Windows {
    parts: Parts,
    sixes: Filter,
    /// For each window, where its places are in `places`.
    all: HashMap<u64, Range<usize>, Spread>,
    places: Vec<Place>,
}

/// Where a window stands: in which form, and how far from its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) form: usize,
    pub(crate) offset: usize,
}

impl Windows {
    /// Takes windows with their places; the places of one keep their order.
    pub(crate) fn new(mut told: Vec<(u64, Place)>) -> Self {
        told.sort_by_key(|(window, _)| *window);
        let (mut all, mut places) = (HashMap::default(), Vec::with_capacity(told.len()));
        for of_one in told.chunk_by(|a, b| a.0 == b.0) {
            let from = places.len();
            for (window, place) in of_one {
                // A value that repeats itself is found at its beginning; more places only cost time.
                if place.offset == 0 || places.len() < from + MAX_PLACES {
                    places.push(*place);
                }
                all.insert(*window, from..places.len());
            }
        }
        let parts = Parts::of(all.keys().copied().collect::<Vec<_>>().as_slice());
        Self { parts, sixes: Filter::new(all.keys().copied(), 8), all, places }
    }

    /// Where the forms have this window.
    pub(crate) fn places(&self, window: u64) -> &[Place] {
        if !self.sixes.has(window) {
            return &[];
        }
        let range = self.all.get(&window).cloned().unwrap_or(0..0);
        self.places.get(range).unwrap_or_default()
    }

    /// Whether a window that belongs to a form goes by in `line`; `window` is the one before it, and follows it up to
    /// there.
    pub(crate) fn pass(&self, line: &[u8], window: &mut Window) -> bool {
        let mut letters = Letters::new();
        line.chunks(Letters::STRETCH).any(|stretch| {
            letters.take(*window, stretch);
            if letters.all().len() >= WINDOW {
                *window = letters.window();
            }
            match self.parts.step {
                Step::Two => self.any::<2>(&letters),
                Step::Three => self.any::<3>(&letters),
            }
        })
    }

    /// Whether a window is among letters, of which every so manieth is looked up.
    fn any<const STEP: usize>(&self, letters: &Letters) -> bool {
        let parts = self.parts.table();
        let len = letters.all().len();
        let mut at = 0;
        while at < len
            && let Some(ahead) = letters.ahead::<AHEAD>(at)
        {
            for number in 0..4 {
                let eight = ahead.get(number * STEP..).and_then(<[u8]>::first_chunk);
                let part = eight.map_or(0, |eight| u64::from_le_bytes(*eight));
                if parts.has::<STEP>(part) && self.around::<STEP>(letters, at + number * STEP) {
                    return true;
                }
            }
            at += STEP * 4;
        }
        false
    }

    /// Whether a window begins here or so little before that it reaches beyond what was looked up here.
    #[cold]
    fn around<const STEP: usize>(&self, letters: &Letters, at: usize) -> bool {
        (at.saturating_sub(STEP - 1)..=at).any(|from| {
            let eight = letters.ahead(from).map_or(0, |e| u64::from_be_bytes(*e));
            let window = eight >> (64 - 8 * WINDOW);
            self.sixes.has(window)
                && from + WINDOW <= letters.all().len()
                && self.all.contains_key(&window)
        })
    }

    #[cfg(test)]
    pub(crate) fn has(&self, window: u64) -> bool {
        self.all.contains_key(&window)
    }
}

/// Parts of windows, each told by one bit: four or five letters, so that of those in one window, two or three, one
/// begins at a place that is looked up.
struct Parts {
    bits: Vec<u64>,
    mask: u64,
    step: Step,
}

/// How far apart the places are that are looked up.
#[derive(Clone, Copy)]
enum Step {
    Two,
    Three,
}

impl Parts {
    fn of(windows: &[u64]) -> Self {
        let few = windows.len() <= FEW;
        let (step, count) = if few { (Step::Three, 3) } else { (Step::Two, 2) };
        let size = (windows.len() * count * 32).next_power_of_two().clamp(1 << 15, 1 << 24);
        let mask = u64::try_from(size - 1).unwrap_or(0);
        let mut parts = Self { bits: vec![0; size / 64], mask, step };
        for window in windows {
            // In a window, the first letter is the foremost; in a text that is read as a number, the last.
            let letters = window.swap_bytes() >> 16;
            for at in 0..count {
                let part = letters >> (8 * at);
                let table = parts.table();
                let (word, bit) = if few { table.place::<3>(part) } else { table.place::<2>(part) };
                if let Some(word) = parts.bits.get_mut(word) {
                    *word |= 1 << bit;
                }
            }
        }
        parts
    }

    fn table(&self) -> Table<'_> {
        Table { bits: &self.bits, mask: self.mask }
    }
}

/// What is asked for each part, at hand.
#[derive(Clone, Copy)]
struct Table<'a> {
    bits: &'a [u64],
    mask: u64,
}

impl Table<'_> {
    /// Where the first of eight letters have their bit: four of them at a step of three, five at one of two.
    fn place<const STEP: usize>(self, letters: u64) -> (usize, u64) {
        let hash = (letters << (8 * (STEP + 1))).wrapping_mul(SPREAD) >> 40 & self.mask;
        (usize::try_from(hash >> 6).unwrap_or(0), hash & 63)
    }

    fn has<const STEP: usize>(self, letters: u64) -> bool {
        let (word, bit) = self.place::<STEP>(letters);
        self.bits.get(word).is_some_and(|word| word >> bit & 1 != 0)
    }
}

/// The bytes in which four places that are looked up lie.
const AHEAD: usize = 3 * 3 + 8;
/// Up to so many windows four letters tell enough: more of them, and ordinary text has too many.
const FEW: usize = 8_000;
const MAX_PLACES: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fold::folded;

    /// Numbers from 0 on and below `below`, the same on every run.
    fn numbers() -> impl FnMut(usize) -> usize {
        let mut state = 0x2545_F491_4F6C_DD1D_u64;
        move |below| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state >> 33).unwrap() % below
        }
    }

    fn windows(values: &[String]) -> Windows {
        let of = |(form, value): (usize, &String)| {
            let all = folded(value.as_bytes());
            let place =
                |(offset, six): (usize, &[u8])| (Window::over(six).value(), Place { form, offset });
            all.windows(WINDOW).enumerate().map(place).collect::<Vec<_>>()
        };
        Windows::new(values.iter().enumerate().flat_map(of).collect())
    }

    #[test]
    fn few_windows_and_many_are_told_exactly_wherever_they_stand() {
        let mut number = numbers();
        let signs: Vec<char> = "abcdefgXYZ0123-_ \n/é".chars().collect();
        for count in [3, 700] {
            let values: Vec<String> = (0..count)
                .map(|_| {
                    (0..24)
                        .filter_map(|_| char::from_digit(u32::try_from(number(36)).unwrap(), 36))
                        .collect()
                })
                .collect();
            let windows = windows(&values);
            let few = matches!(windows.parts.step, Step::Three);
            assert_eq!(few, count == 3);
            let mut met = [0, 0];
            for _ in 0..600 {
                let mut text: String =
                    (0..number(600)).map(|_| signs[number(signs.len())]).collect();
                let (from, len) = (number(18), 4 + number(4));
                let sign = ["", "-", " ", "\n", "ü"][number(5)];
                for letter in values[number(count)].chars().skip(from).take(len) {
                    text.push(letter);
                    text.push_str(sign);
                }
                text.push_str(&"Q. ".repeat(number(200)));
                let bytes = text.as_bytes();
                let slow =
                    folded(bytes).windows(WINDOW).any(|six| windows.has(Window::over(six).value()));
                met[usize::from(slow)] += 1;
                let (mut window, cut) = (Window::default(), number(bytes.len() + 1));
                let quick = windows.pass(&bytes[..cut], &mut window)
                    || windows.pass(&bytes[cut..], &mut window);
                assert_eq!(quick, slow, "{text:?}");
            }
            assert!(met.iter().all(|n| *n > 50), "{met:?}");
        }
    }

    #[test]
    fn the_places_of_a_window_are_bounded_but_for_beginnings() {
        let windows = windows(&vec!["a".repeat(40); 3]);
        let places = windows.places(Window::over(b"aaaaaa").value());
        assert_eq!(places.len(), MAX_PLACES + 2);
        assert_eq!(places.iter().filter(|place| place.offset == 0).count(), 3);
        assert_eq!(windows.places(Window::over(b"aaaaab").value()), []);
    }
}
