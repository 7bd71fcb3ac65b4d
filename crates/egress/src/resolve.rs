//! To which address does an allowed name lead, and may anybody go there?
//!
//! A name is resolved once, after policy has allowed it; every address is classed; those that are not
//! public are dropped unless their class was granted for this very target; and what was checked is what is
//! dialled, so a second answer from the name's owner (DNS rebinding) is never asked for.

use crate::name::{Host, HostPort, is_public};
use crate::refuse::{Refusal, Status};
use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

/// What kind of place an address is, seen from this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AddressClass {
    /// 169.254.0.0/16 and `fe80::/10`, less the metadata services.
    LinkLocal,
    /// Never reachable, whatever is granted: cloud metadata, multicast, reserved and unspecified addresses,
    /// and IPv6 forms that wrap an address which is not public.
    Never,
    /// A private network: RFC 1918, unique local IPv6, carrier-grade NAT.
    Network,
    /// The public internet.
    Public,
    /// This machine: loopback, or an address of one of its interfaces.
    ThisHost,
}

impl AddressClass {
    /// Classes `address`.
    pub fn of(address: IpAddr) -> Self {
        let address = address.to_canonical();
        if METADATA_V4.iter().any(|v4| IpAddr::V4(*v4) == address) || address == METADATA_V6 {
            return Self::Never;
        }
        let by_range = match address {
            IpAddr::V4(v4) => by_range_v4(v4),
            IpAddr::V6(v6) => by_range_v6(v6),
        };
        match by_range {
            Self::Public | Self::Network | Self::LinkLocal if is_own(address) => Self::ThisHost,
            class => class,
        }
    }
}

/// Which classes of address a target may lead to. Granting is explicit; there is no default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reach {
    network: bool,
    this_host: bool,
    link_local: bool,
}

impl Reach {
    /// The public internet only.
    pub const fn public() -> Self {
        Self { network: false, this_host: false, link_local: false }
    }

    /// Also private networks.
    #[must_use = "a reach is a value"]
    pub const fn and_network(self) -> Self {
        Self { network: true, ..self }
    }

    /// Also this machine's own services.
    #[must_use = "a reach is a value"]
    pub const fn and_this_host(self) -> Self {
        Self { this_host: true, ..self }
    }

    /// Also link-local addresses (not the metadata services).
    #[must_use = "a reach is a value"]
    pub const fn and_link_local(self) -> Self {
        Self { link_local: true, ..self }
    }

    /// Whether `class` is within reach.
    pub fn covers(self, class: AddressClass) -> bool {
        match class {
            AddressClass::LinkLocal => self.link_local,
            AddressClass::Never => false,
            AddressClass::Network => self.network,
            AddressClass::Public => true,
            AddressClass::ThisHost => self.this_host,
        }
    }
}

/// The answer of a lookup, later.
pub type Looked<'a> = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send + 'a>>;

/// Asks for the addresses of a name; tests put their own here.
pub trait Lookup: Send + Sync {
    /// Gives the addresses of `name`, a canonical DNS name.
    fn lookup<'a>(&'a self, name: &'a str) -> Looked<'a>;
}

/// The host's own resolver (`getaddrinfo`).
#[derive(Debug, Clone, Copy)]
pub struct SystemLookup;

impl Lookup for SystemLookup {
    fn lookup<'a>(&'a self, name: &'a str) -> Looked<'a> {
        Box::pin(async move { Ok(lookup_host((name, 0)).await?.map(|found| found.ip()).collect()) })
    }
}

/// Resolves and checks targets; cheap to clone.
#[derive(Clone)]
pub struct Resolver {
    lookup: Arc<dyn Lookup>,
    limit: Duration,
}

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resolver").field("limit", &self.limit).finish_non_exhaustive()
    }
}

/// Why a target leads nowhere.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ResolveError {
    /// No address was found.
    #[error("`{0}` does not resolve")]
    NotFound(Host),
    /// None of its addresses is within reach; one of them is named.
    #[error("`{host}` leads to {address}, which is not within reach: {class:?}")]
    OutOfReach {
        /// The host.
        host: Host,
        /// One of its addresses, for the log only.
        address: IpAddr,
        /// What kind of place that is.
        class: AddressClass,
    },
    /// The lookup took too long.
    #[error("the lookup of `{0}` took too long")]
    Slow(Host),
    /// No address took the connection in time.
    #[error("`{target}` does not take a connection: {why}")]
    Unreachable {
        /// The target.
        target: HostPort,
        /// The last error's kind.
        why: io::ErrorKind,
    },
}

impl ResolveError {
    /// What the box is told; it never learns an address from it.
    pub fn refusal(&self) -> Refusal {
        match self {
            Self::NotFound(host) => Refusal::new(
                Status::BadGateway,
                "unresolvable",
                format!("the name `{host}` does not resolve"),
            ),
            Self::OutOfReach { host, .. } => Refusal::new(
                Status::Forbidden,
                "address-refused",
                format!("`{host}` leads to an address that is not public and not granted"),
            ),
            Self::Slow(host) => Refusal::new(
                Status::GatewayTimeout,
                "lookup-timeout",
                format!("the lookup of `{host}` took too long"),
            ),
            Self::Unreachable { target, .. } => Refusal::new(
                Status::BadGateway,
                "unreachable",
                format!("`{target}` does not take a connection"),
            ),
        }
    }
}

impl Resolver {
    /// A resolver over `lookup` that gives up after five seconds.
    pub fn new(lookup: Arc<dyn Lookup>) -> Self {
        Self { lookup, limit: LOOKUP_LIMIT }
    }

    /// The host's own.
    pub fn system() -> Self {
        Self::new(Arc::new(SystemLookup))
    }

    /// Resolves `target`, which policy has allowed, and keeps the addresses within `reach`.
    pub async fn resolve(&self, target: &HostPort, reach: Reach) -> Result<Pinned, ResolveError> {
        let host = target.host();
        let found = match (host.address(), host.name()) {
            (Some(address), _) => vec![address],
            (None, Some(name)) => match timeout(self.limit, self.lookup.lookup(name)).await {
                Ok(Ok(found)) => found,
                Ok(Err(_)) => return Err(ResolveError::NotFound(host.clone())),
                Err(_) => return Err(ResolveError::Slow(host.clone())),
            },
            (None, None) => Vec::new(),
        };
        let mut out_of_reach = None;
        let mut addresses = Vec::new();
        for address in found.into_iter().map(|found| found.to_canonical()).take(MAX_ADDRESSES) {
            let class = AddressClass::of(address);
            if reach.covers(class) {
                let socket = SocketAddr::new(address, target.port());
                if !addresses.contains(&socket) {
                    addresses.push(socket);
                }
            } else {
                out_of_reach.get_or_insert((address, class));
            }
        }
        match out_of_reach {
            Some((address, class)) if addresses.is_empty() => {
                Err(ResolveError::OutOfReach { host: host.clone(), address, class })
            }
            _ if addresses.is_empty() => Err(ResolveError::NotFound(host.clone())),
            _ => Ok(Pinned { target: target.clone(), addresses }),
        }
    }
}

/// A target with the addresses that were checked for it: the only thing that can be dialled.
#[must_use = "a pinned target is there to be dialled"]
#[derive(Debug, Clone)]
pub struct Pinned {
    target: HostPort,
    addresses: Vec<SocketAddr>,
}

impl Pinned {
    /// The checked addresses, in the order in which they are tried.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Dials the addresses one after another, all together within `limit`. The only outbound socket.
    pub async fn dial(&self, limit: Duration) -> Result<(TcpStream, SocketAddr), ResolveError> {
        let mut why = io::ErrorKind::NotFound;
        let each = limit / u32::try_from(self.addresses.len()).unwrap_or(1).max(1);
        for &address in &self.addresses {
            match timeout(each, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    // Latency only; a connection without it is as good.
                    drop(stream.set_nodelay(true));
                    return Ok((stream, address));
                }
                Ok(Err(error)) => why = error.kind(),
                Err(_) => why = io::ErrorKind::TimedOut,
            }
        }
        Err(ResolveError::Unreachable { target: self.target.clone(), why })
    }
}

fn by_range_v4(v4: Ipv4Addr) -> AddressClass {
    let [a, b, ..] = v4.octets();
    if v4.is_loopback() {
        AddressClass::ThisHost
    } else if v4.is_link_local() {
        AddressClass::LinkLocal
    } else if v4.is_private() || (a == 100 && (64..128).contains(&b)) {
        AddressClass::Network
    } else if is_public(v4.into()) {
        AddressClass::Public
    } else {
        AddressClass::Never
    }
}

fn by_range_v6(v6: Ipv6Addr) -> AddressClass {
    if v6.is_loopback() {
        AddressClass::ThisHost
    } else if v6.is_unicast_link_local() {
        AddressClass::LinkLocal
    } else if v6.is_unique_local() {
        AddressClass::Network
    } else if is_public(v6.into()) {
        AddressClass::Public
    } else {
        AddressClass::Never
    }
}

/// Whether `address` belongs to this machine.
///
/// Connecting a datagram socket sends nothing, but makes the kernel choose a source address; for a
/// destination of its own it chooses that destination itself.
fn is_own(address: IpAddr) -> bool {
    let any: IpAddr = match address {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    #[expect(
        clippy::disallowed_methods,
        reason = "this socket asks the routing table and never sends"
    )]
    let chosen = UdpSocket::bind((any, 0)).and_then(|socket| {
        socket.connect((address, 9))?;
        socket.local_addr()
    });
    // No route means that a connect would fail too.
    chosen.is_ok_and(|source| source.ip().to_canonical() == address)
}

/// AWS, GCP and Azure; Alibaba; Azure's host agent; AWS time and the ECS credential service beside them.
const METADATA_V4: [Ipv4Addr; 5] = [
    Ipv4Addr::new(169, 254, 169, 254),
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(168, 63, 129, 16),
    Ipv4Addr::new(169, 254, 169, 253),
    Ipv4Addr::new(169, 254, 170, 2),
];
const METADATA_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x254));
const LOOKUP_LIMIT: Duration = Duration::from_secs(5);
const MAX_ADDRESSES: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed(Vec<&'static str>);

    impl Lookup for Fixed {
        fn lookup<'a>(&'a self, _: &'a str) -> Looked<'a> {
            Box::pin(async { Ok(self.0.iter().map(|text| text.parse().unwrap()).collect()) })
        }
    }

    async fn resolve(found: &[&'static str], reach: Reach) -> Result<Vec<String>, ResolveError> {
        let resolver = Resolver::new(Arc::new(Fixed(found.to_vec())));
        let pinned = resolver.resolve(&HostPort::parse("ok.com:443").unwrap(), reach).await?;
        Ok(pinned.addresses().iter().map(ToString::to_string).collect())
    }

    #[tokio::test]
    async fn a_name_that_leads_inside_is_refused() {
        for address in [
            "127.0.0.1",
            "127.8.8.8",
            "10.0.0.1",
            "172.31.0.1",
            "192.168.0.1",
            "169.254.1.1",
            "100.64.0.1",
            "0.0.0.0",
            "::1",
            "::",
            "fe80::1",
            "fc00::1",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
            "2002:a00:1::",
            "2001:db8::1",
            "224.0.0.1",
            "ff02::1",
            "255.255.255.255",
            "198.18.0.1",
            "::10.0.0.1",
        ] {
            let refused = resolve(&[address], Reach::public()).await.unwrap_err();
            assert!(matches!(refused, ResolveError::OutOfReach { .. }), "{address}: {refused}");
            assert!(
                !refused.refusal().to_string().contains(address),
                "the address was told to the box"
            );
        }
    }

    #[tokio::test]
    async fn metadata_is_out_of_reach_whatever_is_granted() {
        let all = Reach::public().and_network().and_this_host().and_link_local();
        for address in [
            "169.254.169.254",
            "100.100.100.200",
            "fd00:ec2::254",
            "168.63.129.16",
            "::ffff:169.254.169.254",
            "0.0.0.0",
            "239.1.1.1",
        ] {
            assert!(resolve(&[address], all).await.is_err(), "{address}");
        }
    }

    #[tokio::test]
    async fn what_is_granted_is_reached_and_nothing_beside_it() {
        assert!(resolve(&["10.0.0.1"], Reach::public().and_network()).await.is_ok());
        assert!(resolve(&["127.0.0.1"], Reach::public().and_network()).await.is_err());
        assert!(resolve(&["127.0.0.1"], Reach::public().and_this_host()).await.is_ok());
        assert!(resolve(&["192.168.1.1"], Reach::public().and_this_host()).await.is_err());
    }

    #[tokio::test]
    async fn of_a_mixed_answer_only_the_public_part_is_dialled() {
        let kept = resolve(&["10.0.0.1", "1.1.1.1", "127.0.0.1", "1.1.1.1"], Reach::public())
            .await
            .unwrap();
        assert_eq!(kept, ["1.1.1.1:443"]);
        assert!(matches!(resolve(&[], Reach::public()).await, Err(ResolveError::NotFound(_))));
    }

    #[test]
    fn an_address_of_an_own_interface_is_this_host() {
        // Any local address but loopback; a machine without one has nothing to show.
        #[expect(clippy::disallowed_methods, reason = "asks the routing table")]
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        if socket.connect("192.0.2.1:9").is_ok() {
            let own = socket.local_addr().unwrap().ip();
            assert!(is_own(own), "{own}");
            assert!(!Reach::public().covers(AddressClass::of(own)), "{own}");
        }
        assert!(is_own("127.0.0.1".parse().unwrap()));
        assert!(!is_own("192.0.2.77".parse().unwrap()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_lookup_that_hangs_ends() {
        struct Hang;
        impl Lookup for Hang {
            fn lookup<'a>(&'a self, _: &'a str) -> Looked<'a> {
                Box::pin(std::future::pending())
            }
        }
        let resolver = Resolver::new(Arc::new(Hang));
        let ended =
            resolver.resolve(&HostPort::parse("ok.com:443").unwrap(), Reach::public()).await;
        assert!(matches!(ended, Err(ResolveError::Slow(_))));
    }
}
