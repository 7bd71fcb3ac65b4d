//! What does the box want from the network? Each connection that leaves it is a proposal of its own.
//!
//! The listeners belong to one box, so whoever connects is that box's agent; nothing a connection
//! says about itself is believed.

use crate::app::{Gate, Granted};
use crate::config::HostTls;
use crate::doors::database::DatabaseDoor;
use crate::doors::model::ModelDoor;
use crate::doors::request::{RequestDoor, closed};
use crate::doors::told::told;
use bartizan_egress::{
    Arrival, Captured, Closing, Ended, FrontLimits, Intent, Kind, Passage, Reach, Refusal as Told,
    Status, SyntheticNames, Terminator, Tls, Tunnel, TunnelReport, capture, dns,
};
use bartizan_gate::call::{Authorized, Door, Outcome, Proposed};
use bartizan_gate::effect::{Content, Effector, Warrant};
use bartizan_gate::name::HostPort;
use bartizan_gate::seat::Caller;
use bartizan_sandbox::{Capture, Origins};
use bartizan_store::Event;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::io;
use std::net::TcpListener as StdListener;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// The host name under which the box finds the model API. It exists nowhere else: the name is ours,
/// and nothing but the model door answers to it.
pub(crate) const MODEL_HOST: &str = "model.bartizan";

/// The ways out of one box.
pub(crate) struct Ways {
    /// Makes tunnels.
    pub(crate) tunnel: Tunnel,
    /// Reads the requests that they carry.
    pub(crate) terminator: Arc<Terminator>,
    /// What is said of some hosts' TLS.
    pub(crate) tls: BTreeMap<HostPort, HostTls>,
}

impl Ways {
    fn tls(&self, target: &HostPort) -> Tls {
        match self.tls.get(target) {
            Some(HostTls::PassThrough) => Tls::PassThrough,
            Some(HostTls::Terminate) => Tls::TerminateOnly,
            // A host with a credential is never spoken to unread.
            None if self.terminator.binds(target) => Tls::TerminateOnly,
            None => Tls::Terminate,
        }
    }

    /// `http` when nothing passes on a connection but requests that are judged one by one, else `tcp`.
    fn protocol(&self, intent: &Intent) -> &'static str {
        let target = intent.target();
        let requests_only = match self.tls(target) {
            Tls::PassThrough => false,
            Tls::TerminateOnly => true,
            Tls::Terminate => self.tunnel.carries_requests_only(target.port()),
        };
        if requests_only || intent.kind() == Kind::Absolute { "http" } else { "tcp" }
    }
}

/// Serves one box's listeners until its tasks are dropped.
pub(crate) struct NetDoor {
    gate: Arc<Gate>,
    caller: Caller,
    names: Arc<SyntheticNames>,
    ways: Arc<Ways>,
    requests: Arc<RequestDoor>,
    model: Option<ModelDoor>,
    /// Logins are the session's own.
    databases: Option<DatabaseDoor>,
    places: Arc<Semaphore>,
    /// Whose box it is, if not the session's: a subagent's kind and id.
    subagent: Option<(String, String)>,
}

impl NetDoor {
    /// A door for the box of `caller`.
    pub(crate) fn new(
        gate: Arc<Gate>,
        caller: Caller,
        ways: Ways,
        model: Option<ModelDoor>,
        databases: DatabaseDoor,
    ) -> Arc<Self> {
        let requests = RequestDoor::new(Arc::clone(&gate), caller.clone());
        let log = (Arc::clone(&gate), caller.clone());
        let names = SyntheticNames::new(move |new| {
            let mut about = Map::new();
            about.insert("name".to_owned(), json!(new.host.to_string()));
            about.insert("unreported".to_owned(), json!(new.unreported));
            // A log that cannot take this refuses the connection that follows.
            drop(log.0.pipeline().remark(&log.1, Event::Egress, about));
        });
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let names = Arc::new(names);
        let (ways, databases, subagent) = (Arc::new(ways), Some(databases), None);
        Arc::new(Self { gate, caller, names, ways, requests, model, databases, places, subagent })
    }

    /// A door for the box of a subagent's command: the same ways out, judged for the subagent too, and neither the model nor
    /// a database's login.
    pub(crate) fn for_subagent(&self, kind: &str, id: &str) -> Arc<Self> {
        let (gate, caller) = (Arc::clone(&self.gate), self.caller.clone());
        let subagent = (kind.to_owned(), id.to_owned());
        let requests =
            RequestDoor::of_subagent(Arc::clone(&gate), caller.clone(), subagent.clone());
        let (names, ways) = (Arc::clone(&self.names), Arc::clone(&self.ways));
        let (model, databases, subagent) = (None, None, Some(subagent));
        let places = Arc::clone(&self.places);
        Arc::new(Self { gate, caller, names, ways, requests, model, databases, places, subagent })
    }

    /// Starts one task per listener. They end when the returned set is dropped.
    pub(crate) fn open(self: &Arc<Self>, capture: Capture) -> io::Result<JoinSet<()>> {
        let Capture { tcp, dns_udp, dns_tcp, http_proxy, socks, origins } = capture;
        let mut tasks = JoinSet::new();
        let mut accept = |listener: StdListener, kind: Listener| -> io::Result<()> {
            let door = Arc::clone(self);
            tasks.spawn(door.accept(asynchronous(listener)?, kind, origins.clone()));
            Ok(())
        };
        tcp.into_iter().try_for_each(|listener| accept(listener, Listener::Transparent))?;
        http_proxy.into_iter().try_for_each(|listener| accept(listener, Listener::HttpProxy))?;
        socks.into_iter().try_for_each(|listener| accept(listener, Listener::Socks))?;
        // Where others can call too, each connection is asked about here.
        let (asked, dns_tcp) =
            if origins.must_ask() { (dns_tcp, Vec::new()) } else { (Vec::new(), dns_tcp) };
        asked.into_iter().try_for_each(|listener| accept(listener, Listener::Names))?;
        for socket in dns_udp {
            socket.set_nonblocking(true)?;
            let (socket, names) = (UdpSocket::from_std(socket)?, Arc::clone(&self.names));
            tasks.spawn(async move { drop(dns::serve_udp(socket, names).await) });
        }
        for listener in dns_tcp {
            let (listener, names) = (asynchronous(listener)?, Arc::clone(&self.names));
            tasks.spawn(async move { drop(dns::serve_tcp(listener, names).await) });
        }
        Ok(tasks)
    }

    async fn accept(self: Arc<Self>, listener: TcpListener, kind: Listener, origins: Origins) {
        let mut open = JoinSet::new();
        loop {
            let Ok(place) = Arc::clone(&self.places).acquire_owned().await else { return };
            while open.try_join_next().is_some() {}
            let Ok((stream, _)) = listener.accept().await else {
                tokio::time::sleep(Duration::from_millis(10)).await;
                continue;
            };
            let (door, origins) = (Arc::clone(&self), origins.clone());
            open.spawn(async move {
                door.serve(stream, kind, &origins).await;
                drop(place);
            });
        }
    }

    async fn serve(&self, stream: TcpStream, kind: Listener, origins: &Origins) {
        let must_ask = kind == Listener::Transparent || origins.must_ask();
        let (stream, original) = if must_ask {
            match original(stream, origins) {
                Ok((stream, original)) => (stream, Some(original)),
                // Not this box's: it is dropped without a word.
                Err(_) => return,
            }
        } else {
            (stream, None)
        };
        let arrival = match (kind, original) {
            (Listener::HttpProxy, _) => Arrival::HttpProxy,
            (Listener::Socks, _) => Arrival::Socks,
            (Listener::Names, _) => return dns::serve_stream(stream, &self.names).await,
            (Listener::Transparent, Some(original)) => Arrival::Transparent { original },
            (Listener::Transparent, None) => return,
        };
        self.read(stream, arrival).await;
    }

    async fn read(&self, stream: TcpStream, arrival: Arrival) {
        // Small frames back and forth are what agents do; 40 ms of delayed ACK each is what they would get.
        drop(stream.set_nodelay(true));
        let captured = match capture(stream, arrival, &self.names, &FrontLimits::default()).await {
            Ok(captured) => captured,
            Err(bad) => {
                let (gate, caller) = (Arc::clone(&self.gate), self.caller.clone());
                let (code, what) =
                    (bad.refusal().code().to_owned(), bad.refusal().sentence().to_owned());
                let noted = tokio::task::spawn_blocking(move || {
                    gate.unreadable(&caller, Door::Net, &code, &what);
                });
                drop(noted.await);
                return bad.answer().await;
            }
        };
        if captured.intent().target().host().name() == Some(MODEL_HOST) {
            return self.model(captured).await;
        }
        let databases = self.databases.as_ref();
        if let Some(database) = databases.filter(|door| door.serves(captured.intent().target())) {
            return database.serve(captured).await;
        }
        self.carry(captured).await;
    }

    async fn model(&self, captured: Captured<TcpStream>) {
        if let Some(model) = &self.model {
            model.serve(captured).await;
        } else {
            let sentence = "this session has no model API; give it a key outside the box";
            captured.refuse(&Told::new(Status::Forbidden, "no-model", sentence)).await;
        }
    }

    async fn carry(&self, captured: Captured<TcpStream>) {
        let intent = captured.intent();
        let arguments = json!({
            "host": intent.target().host().to_string(),
            "port": intent.target().port(),
            "protocol": self.ways.protocol(intent),
        });
        let (caller, subagent) = (self.caller.clone(), self.subagent.clone());
        let wanted = arguments.clone();
        let closing = self.gate.holds().then(|| captured.closing().ok()).flatten().map(Arc::new);
        let decided = self.gate.held(move || connect(&caller, subagent.as_ref(), &wanted));
        let decided = tokio::select! {
            decided = decided => decided,
            // Nobody is there to be answered: what they asked for does not happen later.
            () = closed(closing.as_deref()) => return,
        };
        match decided {
            Ok(Ok(Granted { authorized, replaced })) => tokio::select! {
                () = self.perform(authorized, captured, closing) => {}
                // What is dropped here is closed, and its record says that it was abandoned.
                () = self.gate.withdrawn(replaced, || self.proposal(&arguments)) => {}
            },
            Ok(Err(refused)) => captured.refuse(&told(&refused)).await,
            // The judge panicked: nobody said yes.
            Err(_) => {
                captured
                    .refuse(&Told::new(Status::Forbidden, "gate-failed", "the gate failed"))
                    .await;
            }
        }
    }

    fn proposal(&self, arguments: &Value) -> Proposed {
        connect(&self.caller, self.subagent.as_ref(), arguments)
    }

    async fn perform(
        &self,
        authorized: Authorized,
        captured: Captured<TcpStream>,
        closing: Option<Arc<Closing>>,
    ) {
        // Policy never opens a private address by itself: the configuration must have named this one.
        let declared = self.caller.seat().private.contains(captured.intent().target());
        let reach =
            if declared { Reach::public().and_network().and_this_host() } else { Reach::public() };
        let passage = Passage { reach, tls: self.ways.tls(captured.intent().target()) };
        let by_person = !authorized.approvers().is_empty();
        let requests = self.requests.on(by_person, closing);
        let dial = Dial { ways: &self.ways, requests: &requests, captured, passage };
        let executed = self.gate.pipeline().perform(authorized, dial).await;
        // The tunnel is closed; all that is left is its record, and a log that fails stops the next act.
        drop(self.gate.pipeline().release(executed));
    }
}

fn connect(caller: &Caller, subagent: Option<&(String, String)>, arguments: &Value) -> Proposed {
    let proposed = Proposed::new(caller, Door::Net, "net.connect", arguments.clone());
    match subagent {
        Some((kind, id)) => proposed.by_subagent(kind, id),
        None => proposed,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Listener {
    HttpProxy,
    Names,
    Socks,
    Transparent,
}

/// One tunnel, dialled under its warrant.
struct Dial<'a> {
    ways: &'a Ways,
    requests: &'a Arc<RequestDoor>,
    captured: Captured<TcpStream>,
    passage: Passage,
}

/// A tunnel's figures hold no text from outside.
struct Carried;

impl Content for Carried {
    fn scrub(self, _: &dyn Fn(&str) -> String) -> Self {
        self
    }
}

impl Effector for Dial<'_> {
    type Output = Carried;

    #[expect(clippy::disallowed_methods, reason = "under its warrant")]
    async fn run(self, warrant: &Warrant<'_>) -> (Outcome, Carried) {
        let judged = warrant.host();
        if judged != Some(self.captured.intent().target()) {
            let told = Told::new(
                Status::Forbidden,
                "warrant-mismatch",
                "this connection was not the one that was judged",
            );
            self.captured.refuse(&told).await;
            return (Outcome::stopped("warrant-mismatch", json!({})), Carried);
        }
        let Self { ways, requests, captured, passage } = self;
        let (terminator, judge) = (Arc::clone(&ways.terminator), Arc::clone(requests));
        let report = ways.tunnel.carry_judged(captured, passage, terminator, judge).await;
        (outcome(&report), Carried)
    }
}

fn outcome(report: &TunnelReport) -> Outcome {
    let details = json!({
        "address": report.address.map(|address| address.to_string()),
        "sni": report.sni.as_ref().map(ToString::to_string),
        "bytes_out": report.bytes_out,
        "bytes_in": report.bytes_in,
    });
    match &report.ended {
        Ended::Finished => Outcome::succeeded(details),
        Ended::Broken(_) => Outcome::failed("connection-broken", details),
        Ended::Idle => Outcome::stopped("idle", details),
        Ended::OverBudget => Outcome::stopped("over-budget", details),
        Ended::Refused(refusal) => Outcome::stopped(refusal.code(), details),
        Ended::TooLong => Outcome::stopped("too-long", details),
    }
}

fn original(stream: TcpStream, origins: &Origins) -> io::Result<(TcpStream, std::net::SocketAddr)> {
    let stream = stream.into_std()?;
    let original = origins.destination(&stream)?;
    Ok((TcpStream::from_std(stream)?, original))
}

fn asynchronous(listener: StdListener) -> io::Result<TcpListener> {
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

/// Connections of one box at the same time; more wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 512;
