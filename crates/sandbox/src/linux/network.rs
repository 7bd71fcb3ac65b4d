//! How does every packet that would leave the box land on a socket of ours instead?
//!
//! The private network has only loopback. A local route for all addresses makes each of them this machine's own, and
//! `nf_tables` redirects TCP and DNS to the capture ports, so a program needs no proxy setting to be caught; whatever else
//! is sent beyond loopback is dropped with an immediate error. Messages are laid out here and sent by the child.
use crate::op::{Listen, Netlink, Op, Subsystem, Tag, When};
use crate::spec::Reach;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The acts that build the network, in order.
pub(crate) fn ops(reach: Reach, ipv6: bool) -> Vec<Op> {
    if reach == Reach::Loopback {
        // Without a route nothing can be called, and without a listener nobody would answer.
        return vec![request(Subsystem::Loopback, loopback_up())];
    }
    let mut ops = vec![request(Subsystem::Route, route_v4())];
    if ipv6 {
        ops.push(request(Subsystem::RouteV6, route_v6()));
    }
    ops.push(request(Subsystem::Filter, redirect(CAPTURE_PORT)));
    ops.extend(listeners(ipv6).into_iter().map(Op::Listen));
    ops
}

fn listeners(ipv6: bool) -> Vec<Listen> {
    let stub = Ipv4Addr::new(127, 0, 0, 53).into();
    let v4 = Ipv4Addr::LOCALHOST.into();
    let mut loopbacks: Vec<IpAddr> = vec![v4];
    let mut any: Vec<IpAddr> = vec![Ipv4Addr::UNSPECIFIED.into()];
    if ipv6 {
        loopbacks.push(Ipv6Addr::LOCALHOST.into());
        any.push(Ipv6Addr::UNSPECIFIED.into());
    }
    let at = |tag, ip, port, when| Listen { tag, address: SocketAddr::new(ip, port), when };
    let mut all = Vec::new();
    for &ip in &loopbacks {
        all.push(at(Tag::Tcp, ip, CAPTURE_PORT, When::Always));
    }
    for &ip in loopbacks.iter().chain([&stub]) {
        all.push(at(Tag::DnsUdp, ip, 53, When::Always));
        all.push(at(Tag::DnsTcp, ip, 53, When::Always));
    }
    all.push(at(Tag::HttpProxy, v4, 3128, When::Always));
    all.push(at(Tag::Socks, v4, 1080, When::Always));
    for &ip in &any {
        for port in [443, 80, 22] {
            all.push(at(Tag::Tcp, ip, port, When::WithoutRedirect));
        }
    }
    all
}

fn request(to: Subsystem, message: Message) -> Op {
    let Message { bytes, acknowledgements, .. } = message;
    Op::Netlink(Netlink { to, message: bytes, acknowledgements })
}

/// Loopback up.
fn loopback_up() -> Message {
    let mut message = Message::default();
    message.message(RTM_NEWLINK, NLM_F_ACK, |m| {
        // ifinfomsg: family, pad, type, index, flags, change
        m.bytes(&[0; 4]);
        m.bytes(&LOOPBACK.to_ne_bytes());
        m.bytes(&IFF_UP.to_ne_bytes());
        m.bytes(&IFF_UP.to_ne_bytes());
    });
    message
}

/// Loopback up, and `local 0.0.0.0/0` on it.
fn route_v4() -> Message {
    let mut message = loopback_up();
    local_route(&mut message, AF_INET, RT_SCOPE_HOST, &Ipv4Addr::LOCALHOST.octets());
    message
}

/// `local ::/0` on loopback.
fn route_v6() -> Message {
    let mut message = Message::default();
    local_route(&mut message, AF_INET6, 0, &Ipv6Addr::LOCALHOST.octets());
    message
}

fn local_route(message: &mut Message, family: u8, scope: u8, source: &[u8]) {
    message.message(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK, |m| {
        // rtmsg: family, dst_len, src_len, tos, table, protocol, scope, type, flags
        m.bytes(&[family, 0, 0, 0, RT_TABLE_LOCAL, RTPROT_STATIC, scope, RTN_LOCAL]);
        m.bytes(&0_u32.to_ne_bytes());
        m.attribute(RTA_OIF, &LOOPBACK.to_ne_bytes());
        // Without it a connection would seem to come from the address it goes to.
        m.attribute(RTA_PREFSRC, source);
    });
}

/// One table: a nat chain that sends DNS to port 53 and all other TCP to `capture` on loopback, and a filter chain that
/// drops what is still bound elsewhere.
fn redirect(capture: u16) -> Message {
    let mut message = Message::default();
    message.nft(NFNL_BATCH_BEGIN, 0, NFNL_SUBSYS_NFTABLES, |_| {});
    message.nft(NEWTABLE, NLM_F_CREATE | NLM_F_ACK, 0, |m| m.string(1, "bartizan"));
    chain(&mut message, "capture", "nat", -100, NF_ACCEPT);
    chain(&mut message, "border", "filter", 0, NF_DROP);
    for chain in ["capture", "border"] {
        rule(&mut message, chain, |m| {
            meta_is(m, META_NFPROTO, 2);
            header_is(m, (PAYLOAD_NETWORK, 16, 4), Some(&[0xff, 0, 0, 0]), &[127, 0, 0, 0]);
            accept(m);
        });
        rule(&mut message, chain, |m| {
            meta_is(m, META_NFPROTO, 10);
            header_is(m, (PAYLOAD_NETWORK, 24, 16), None, &Ipv6Addr::LOCALHOST.octets());
            accept(m);
        });
    }
    for protocol in [UDP, TCP] {
        rule(&mut message, "capture", |m| {
            meta_is(m, META_L4PROTO, protocol);
            header_is(m, (PAYLOAD_TRANSPORT, 2, 2), None, &53_u16.to_be_bytes());
            redirect_to(m, 53);
        });
    }
    rule(&mut message, "capture", |m| {
        meta_is(m, META_L4PROTO, TCP);
        redirect_to(m, capture);
    });
    message.nft(NFNL_BATCH_END, 0, NFNL_SUBSYS_NFTABLES, |_| {});
    message
}

fn chain(message: &mut Message, name: &str, kind: &str, priority: i32, policy: u32) {
    message.nft(NEWCHAIN, NLM_F_CREATE | NLM_F_ACK, 0, |m| {
        m.string(1, "bartizan");
        m.string(3, name);
        m.nested(4, |m| {
            m.attribute(1, &HOOK_LOCAL_OUT.to_be_bytes());
            m.attribute(2, &priority.to_be_bytes());
        });
        m.attribute(5, &policy.to_be_bytes());
        m.string(7, kind);
    });
}

fn rule(message: &mut Message, chain: &str, expressions: impl FnOnce(&mut Message)) {
    message.nft(NEWRULE, NLM_F_CREATE | NLM_F_APPEND | NLM_F_ACK, 0, |m| {
        m.string(1, "bartizan");
        m.string(2, chain);
        m.nested(4, expressions);
    });
}

fn expression(m: &mut Message, name: &str, data: impl FnOnce(&mut Message)) {
    m.nested(1, |m| {
        m.string(1, name);
        m.nested(2, data);
    });
}

fn meta_is(m: &mut Message, key: u32, value: u8) {
    expression(m, "meta", |m| {
        m.attribute(1, &REGISTER.to_be_bytes());
        m.attribute(2, &key.to_be_bytes());
    });
    equals(m, &[value]);
}

/// Compares `len` bytes at `offset` of a header with `value`, after `mask` if one is given.
fn header_is(
    m: &mut Message,
    (base, offset, len): (u32, u32, u32),
    mask: Option<&[u8]>,
    value: &[u8],
) {
    expression(m, "payload", |m| {
        m.attribute(1, &REGISTER.to_be_bytes());
        m.attribute(2, &base.to_be_bytes());
        m.attribute(3, &offset.to_be_bytes());
        m.attribute(4, &len.to_be_bytes());
    });
    if let Some(mask) = mask {
        expression(m, "bitwise", |m| {
            m.attribute(1, &REGISTER.to_be_bytes());
            m.attribute(2, &REGISTER.to_be_bytes());
            m.attribute(3, &len.to_be_bytes());
            m.nested(4, |m| m.attribute(1, mask));
            m.nested(5, |m| m.attribute(1, &vec![0; mask.len()]));
        });
    }
    equals(m, value);
}

fn equals(m: &mut Message, value: &[u8]) {
    expression(m, "cmp", |m| {
        m.attribute(1, &REGISTER.to_be_bytes());
        m.attribute(2, &0_u32.to_be_bytes());
        m.nested(3, |m| m.attribute(1, value));
    });
}

fn accept(m: &mut Message) {
    expression(m, "immediate", |m| {
        m.attribute(1, &REGISTER_VERDICT.to_be_bytes());
        m.nested(2, |m| m.nested(2, |m| m.attribute(1, &NF_ACCEPT.to_be_bytes())));
    });
}

fn redirect_to(m: &mut Message, port: u16) {
    expression(m, "immediate", |m| {
        m.attribute(1, &REGISTER.to_be_bytes());
        m.nested(2, |m| m.attribute(1, &port.to_be_bytes()));
    });
    expression(m, "redir", |m| m.attribute(1, &REGISTER.to_be_bytes()));
}

/// Netlink messages one after the other, each padded to four bytes.
#[derive(Default)]
struct Message {
    bytes: Vec<u8>,
    sequence: u32,
    acknowledgements: u32,
}

impl Message {
    fn nft(&mut self, kind: u16, flags: u16, resource: u16, body: impl FnOnce(&mut Self)) {
        let family = if resource == 0 { NFPROTO_INET } else { 0 };
        self.message(kind, flags, |m| {
            m.bytes(&[family, 0]);
            m.bytes(&resource.to_be_bytes());
            body(m);
        });
    }

    fn message(&mut self, kind: u16, flags: u16, body: impl FnOnce(&mut Self)) {
        let start = self.bytes.len();
        self.sequence += 1;
        self.acknowledgements += u32::from(flags & NLM_F_ACK != 0);
        self.bytes(&0_u32.to_ne_bytes());
        self.bytes(&kind.to_ne_bytes());
        self.bytes(&(flags | NLM_F_REQUEST).to_ne_bytes());
        self.bytes(&self.sequence.to_ne_bytes());
        self.bytes(&0_u32.to_ne_bytes());
        body(self);
        let length = u32::try_from(self.bytes.len() - start).unwrap_or(u32::MAX);
        self.patch(start, &length.to_ne_bytes());
    }

    fn nested(&mut self, kind: u16, body: impl FnOnce(&mut Self)) {
        let start = self.bytes.len();
        self.bytes(&[0, 0]);
        self.bytes(&(kind | NLA_F_NESTED).to_ne_bytes());
        body(self);
        let length = u16::try_from(self.bytes.len() - start).unwrap_or(u16::MAX);
        self.patch(start, &length.to_ne_bytes());
    }

    fn attribute(&mut self, kind: u16, value: &[u8]) {
        let length = u16::try_from(value.len() + 4).unwrap_or(u16::MAX);
        self.bytes(&length.to_ne_bytes());
        self.bytes(&kind.to_ne_bytes());
        self.bytes(value);
        while !self.bytes.len().is_multiple_of(4) {
            self.bytes.push(0);
        }
    }

    fn string(&mut self, kind: u16, value: &str) {
        self.attribute(kind, &[value.as_bytes(), b"\0"].concat());
    }

    fn bytes(&mut self, value: &[u8]) {
        self.bytes.extend_from_slice(value);
    }

    fn patch(&mut self, start: usize, value: &[u8]) {
        for (place, byte) in self.bytes.iter_mut().skip(start).zip(value) {
            *place = *byte;
        }
    }
}

/// Where captured TCP arrives; below 1024, so that no program inside takes it for itself.
const CAPTURE_PORT: u16 = 4;

const LOOPBACK: u32 = 1;
const IFF_UP: u32 = 1;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
const RTM_NEWLINK: u16 = 16;
const RTM_NEWROUTE: u16 = 24;
const RT_TABLE_LOCAL: u8 = 255;
const RTPROT_STATIC: u8 = 4;
const RT_SCOPE_HOST: u8 = 254;
const RTN_LOCAL: u8 = 2;
const RTA_OIF: u16 = 4;
const RTA_PREFSRC: u16 = 7;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
const NLM_F_EXCL: u16 = 0x200;
const NLM_F_CREATE: u16 = 0x400;
const NLM_F_APPEND: u16 = 0x800;
const NLA_F_NESTED: u16 = 0x8000;
const NFPROTO_INET: u8 = 1;
const NFNL_SUBSYS_NFTABLES: u16 = 10;
const NFNL_BATCH_BEGIN: u16 = 0x10;
const NFNL_BATCH_END: u16 = 0x11;
const NEWTABLE: u16 = NFNL_SUBSYS_NFTABLES << 8;
const NEWCHAIN: u16 = NEWTABLE | 3;
const NEWRULE: u16 = NEWTABLE | 6;
const HOOK_LOCAL_OUT: u32 = 3;
const NF_DROP: u32 = 0;
const NF_ACCEPT: u32 = 1;
const REGISTER_VERDICT: u32 = 0;
const REGISTER: u32 = 1;
const META_NFPROTO: u32 = 15;
const META_L4PROTO: u32 = 16;
const PAYLOAD_NETWORK: u32 = 1;
const PAYLOAD_TRANSPORT: u32 = 2;
const TCP: u8 = 6;
const UDP: u8 = 17;
