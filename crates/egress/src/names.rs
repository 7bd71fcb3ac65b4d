//! Which name does an address in the box stand for?
//!
//! In a box every name resolves, to an address of 198.18.0.0/15 that is made up on the spot and means
//! something only to us. So a program may look up what it likes, nobody outside ever hears of it, and
//! the connection that follows says by its address which name it wants.

use crate::name::Host;
use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A name that a box has looked up for the first time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewName {
    /// The name.
    pub host: Host,
    /// How many new names went unreported since the last report, because they came too fast.
    pub unreported: u64,
}

/// The names that one box has looked up, each with its address.
pub struct SyntheticNames {
    book: Mutex<Book>,
    capacity: usize,
    report: Box<dyn Fn(NewName) + Send + Sync>,
}

impl std::fmt::Debug for SyntheticNames {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SyntheticNames").field("capacity", &self.capacity).finish_non_exhaustive()
    }
}

impl SyntheticNames {
    /// An empty book. `report` is called for each new name, at most [`REPORT_BURST`] at once and
    /// [`REPORTS_PER_SECOND`] over time, from within the DNS server: it must not block for long.
    pub fn new(report: impl Fn(NewName) + Send + Sync + 'static) -> Self {
        Self::with_capacity(CAPACITY, report)
    }

    /// As [`SyntheticNames::new`], remembering at most `capacity` names (at least 1, at most 65,536); the name
    /// that was longest unused is forgotten first.
    pub fn with_capacity(
        capacity: usize,
        report: impl Fn(NewName) + Send + Sync + 'static,
    ) -> Self {
        let book = Book {
            addresses: HashMap::new(),
            names: HashMap::new(),
            by_use: BTreeMap::new(),
            clock: 0,
            next: 1,
            tokens: REPORT_BURST,
            refilled: Instant::now(),
            unreported: 0,
        };
        Self {
            book: Mutex::new(book),
            capacity: capacity.clamp(1, 65_536),
            report: Box::new(report),
        }
    }

    /// The address that stands for `host`; `None` when `host` is an address already.
    pub fn address_of(&self, host: &Host) -> Option<Ipv4Addr> {
        let name = host.name()?;
        let (address, new) = {
            let mut book = self.book();
            match book.addresses.get(name).copied() {
                Some(number) => {
                    book.touch(number);
                    (address(number), None)
                }
                None => (address(book.enter(name, self.capacity)), book.may_report()),
            }
        };
        if let Some(unreported) = new {
            (self.report)(NewName { host: host.clone(), unreported });
        }
        Some(address)
    }

    /// The name that `address` stands for, when the box has looked it up.
    pub fn name_of(&self, address: IpAddr) -> Option<Host> {
        let number = number(address)?;
        let mut book = self.book();
        let host = book.names.get(&number).and_then(|(name, _)| Host::parse(name).ok())?;
        book.touch(number);
        Some(host)
    }

    /// Whether `address` is of the range that stands for names.
    pub fn covers(address: IpAddr) -> bool {
        number(address).is_some()
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        // Each change of the book is complete before anything in it could panic.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Book {
    addresses: HashMap<String, u32>,
    names: HashMap<u32, (String, u64)>,
    by_use: BTreeMap<u64, u32>,
    clock: u64,
    next: u32,
    tokens: u64,
    refilled: Instant,
    unreported: u64,
}

impl Book {
    fn enter(&mut self, name: &str, capacity: usize) -> u32 {
        while self.names.len() >= capacity {
            let Some((_, oldest)) = self.by_use.pop_first() else { break };
            if let Some((name, _)) = self.names.remove(&oldest) {
                self.addresses.remove(&name);
            }
        }
        // Round and round the range, so that an address means something new as late as possible: a
        // program that kept an old answer must not reach another host by it.
        let mut number = self.next;
        while self.names.contains_key(&number) {
            number = after(number);
        }
        self.next = after(number);
        self.clock += 1;
        self.addresses.insert(name.to_owned(), number);
        self.names.insert(number, (name.to_owned(), self.clock));
        self.by_use.insert(self.clock, number);
        number
    }

    fn touch(&mut self, number: u32) {
        self.clock += 1;
        if let Some((_, used)) = self.names.get_mut(&number) {
            self.by_use.remove(used);
            *used = self.clock;
            self.by_use.insert(self.clock, number);
        }
    }

    /// Takes a token for a report; gives how many reports were left out before it.
    fn may_report(&mut self) -> Option<u64> {
        let seconds = self.refilled.elapsed().as_secs();
        if seconds > 0 {
            self.tokens = REPORT_BURST
                .min(self.tokens.saturating_add(seconds.saturating_mul(REPORTS_PER_SECOND)));
            self.refilled += Duration::from_secs(seconds);
        }
        if self.tokens == 0 {
            self.unreported += 1;
            return None;
        }
        self.tokens -= 1;
        Some(std::mem::take(&mut self.unreported))
    }
}

fn address(number: u32) -> Ipv4Addr {
    Ipv4Addr::from(BASE | number)
}

fn number(address: IpAddr) -> Option<u32> {
    match address.to_canonical() {
        IpAddr::V4(v4) if u32::from(v4) & MASK == BASE => Some(u32::from(v4) & !MASK),
        _ => None,
    }
}

/// The next number, without the first and the last address of the range.
fn after(number: u32) -> u32 {
    if number >= !MASK - 1 { 1 } else { number + 1 }
}

/// New names that may be reported at once.
pub const REPORT_BURST: u64 = 200;

/// New names that may be reported each second, over time.
pub const REPORTS_PER_SECOND: u64 = 10;

const CAPACITY: usize = 16_384;
/// 198.18.0.0/15, set apart for benchmarks (RFC 2544) and routed nowhere.
const BASE: u32 = 198 << 24 | 18 << 16;
const MASK: u32 = 0xfffe_0000;

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    fn host(text: &str) -> Host {
        Host::parse(text).unwrap()
    }

    #[test]
    fn a_name_keeps_its_address_and_gives_it_back() {
        let names = SyntheticNames::new(|_| {});
        let first = names.address_of(&host("ok.com")).unwrap();
        assert_eq!(names.address_of(&host("OK.com.")).unwrap(), first);
        assert_ne!(names.address_of(&host("evil.com")).unwrap(), first);
        assert_eq!(names.name_of(first.into()), Some(host("ok.com")));
        assert_eq!(names.name_of(IpAddr::V6(first.to_ipv6_mapped())), Some(host("ok.com")));
        assert_eq!(names.name_of("198.19.0.9".parse().unwrap()), None);
        assert!(!SyntheticNames::covers("198.20.0.1".parse().unwrap()));
    }

    #[test]
    fn the_book_is_bounded_and_an_address_is_not_soon_used_again() {
        let names = SyntheticNames::with_capacity(100, |_| {});
        let keep = names.address_of(&host("keep.com")).unwrap();
        let first = names.address_of(&host("n0.com")).unwrap();
        for i in 1..5000 {
            let address = names.address_of(&host(&format!("n{i}.com"))).unwrap();
            assert_ne!(address, first);
            assert_eq!(
                names.name_of(keep.into()),
                Some(host("keep.com")),
                "a name in use was forgotten"
            );
        }
        assert_eq!(names.name_of(first.into()), None);
        let book = names.book();
        assert!(book.names.len() <= 100);
        assert_eq!(book.names.len(), book.addresses.len());
        assert_eq!(book.names.len(), book.by_use.len());
    }

    #[test]
    fn the_range_is_gone_round_without_its_ends() {
        let names = SyntheticNames::with_capacity(10, |_| {});
        names.book().next = !MASK - 1;
        assert_eq!(names.address_of(&host("a.com")).unwrap(), Ipv4Addr::new(198, 19, 255, 254));
        assert_eq!(names.address_of(&host("b.com")).unwrap(), Ipv4Addr::new(198, 18, 0, 1));
    }

    #[test]
    fn a_flood_of_names_is_reported_only_in_part() {
        let seen = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&seen);
        let names = SyntheticNames::new(move |_| {
            count.fetch_add(1, Ordering::Relaxed);
        });
        for i in 0..2000 {
            names.address_of(&host(&format!("n{i}.com"))).unwrap();
        }
        let seen = seen.load(Ordering::Relaxed);
        assert!((REPORT_BURST..REPORT_BURST + 200).contains(&seen), "{seen}");
        assert_eq!(seen + names.book().unreported, 2000);
    }
}
