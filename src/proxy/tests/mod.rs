//! The proxy between real sockets: stub backends behind it, raw clients before it.

mod blame;
mod both_ways;
mod closing;
mod edges;
mod ends;
mod failover;
mod forwarded;
mod goodbyes;
mod hold;
mod hosts;
mod leaving;
mod limits;
mod matrix;
mod pages;
mod patience;
mod replay;
mod rfc9110;
mod rfc9112;
mod rfc9113;
mod sent;
mod speaking;
mod stale;
mod statuses;
mod sticky;
mod storm;
mod strange_backends;
mod streaming;
mod taking;
mod timing;

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::*;
use crate::backend::{BackendId, Phase, RunId};
use crate::config::{HostList, Listen, ListenHost, Live, Route};
use crate::pool::{Access, Member, Pool};

/// Nothing in these tests takes as long; what would fails.
const LIMIT: Duration = Duration::from_secs(20);

fn settings() -> Balancer {
    let hosts = ["a", "b", "c", "h", "host", "x"];
    let hosts = hosts.iter().map(|name| name.parse().unwrap()).collect();
    Balancer {
        listen: Listen {
            host: ListenHost::Address(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            port: 0,
        },
        queue_max: 16,
        live: Live {
            // Short names for what is asked.
            allow_hosts: HostList::default().with_said(hosts),
            ..Balancer::default().live
        },
        ..Balancer::default()
    }
}

/// A running proxy before some backends.
struct Front {
    address: SocketAddr,
    pools: Arc<Pools>,
    access: Arc<AccessLog>,
    proxy: Proxy,
}

/// What the application would lend.
fn lent() -> Lent {
    let lines = |id: &BackendId, most: usize| {
        let line = |n| format!("\u{1b}[31mline {n} of {id}\u{1b}[0m <b>");
        (0..20).map(line).take(most).collect()
    };
    Lent {
        project: "site".to_owned(),
        sticky_key: StickyKey::new(&[7; 32]),
        last_lines: Some(LastLines::new(lines)),
    }
}

fn front(backends: &[SocketAddr]) -> Front {
    front_with(backends, |_| {})
}

fn front_with(backends: &[SocketAddr], tweak: impl FnOnce(&mut Balancer)) -> Front {
    front_routed(backends, vec![Route::Prefix("/".into())], tweak)
}

fn front_routed(
    backends: &[SocketAddr],
    route: Vec<Route>,
    tweak: impl FnOnce(&mut Balancer),
) -> Front {
    let mut settings = settings();
    tweak(&mut settings);
    let pools = Arc::new(Pools::new([(Arc::from("web"), route)], &settings));
    pools.all()[0].publish(members(backends, RunId::FIRST));
    let access = Arc::new(AccessLog::default());
    access.want();
    let bound = bind(&settings.listen, settings.workers).unwrap();
    let address = bound.addresses()[0];
    let proxy = start(
        Arc::new(settings),
        bound,
        pools.clone(),
        access.clone(),
        lent(),
    )
    .unwrap();
    Front {
        address,
        pools,
        access,
        proxy,
    }
}

fn members(backends: &[SocketAddr], run: RunId) -> Vec<Arc<Member>> {
    let member = |(index, &address): (usize, &SocketAddr)| {
        Arc::new(Member {
            run: Some(run),
            // Names by place, whatever port the system chose: assertions stay readable.
            address,
            ..Member::well(index)
        })
    };
    backends.iter().enumerate().map(member).collect()
}

impl Front {
    fn pool(&self) -> Arc<Pool> {
        self.pools.at(0)
    }

    fn member(&self, index: usize) -> Arc<Member> {
        self.pool().snapshot().members[index].clone()
    }

    /// The next request in the access log.
    async fn access(&self) -> Access {
        let mut batch = within(self.access.take()).await.each;
        assert_eq!(batch.len(), 1, "{batch:?}");
        batch.pop_front().unwrap()
    }

    async fn connect(&self) -> TcpStream {
        within(TcpStream::connect(self.address)).await.unwrap()
    }

    /// One request on a connection of its own, and everything that comes back.
    async fn ask(&self, request: &str) -> String {
        let mut stream = self.connect().await;
        stream.write_all(request.as_bytes()).await.unwrap();
        read_all(&mut stream).await
    }

    async fn get(&self, path: &str) -> String {
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        self.ask(&request).await
    }

    /// No request is in flight anywhere: leases end just after the client has its last byte.
    async fn settled(&self) {
        eventually(|| {
            let snapshot = self.pool().snapshot();
            snapshot.members.iter().all(|m| m.life.in_flight() == 0)
        })
        .await;
    }
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, future)
        .await
        .expect("within the limit")
}

/// Polls until it is so.
async fn eventually(mut so: impl FnMut() -> bool) {
    let until = Instant::now() + LIMIT;
    while !so() {
        assert!(Instant::now() < until, "it never became so");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn read_all(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    // A reset ends it too; what came before counts.
    let _ = within(stream.read_to_end(&mut bytes)).await;
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Reads until `end` has come. `None` when the connection ended before.
async fn read_until(stream: &mut TcpStream, end: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(end.as_bytes()) {
        match within(stream.read(&mut byte)).await {
            Ok(1) => bytes.push(byte[0]),
            Ok(_) | Err(_) => return None,
        }
    }
    Some(String::from_utf8(bytes).unwrap())
}

async fn read_head(stream: &mut TcpStream) -> Option<String> {
    read_until(stream, "\r\n\r\n").await
}

/// A backend that does with each connection what `script` says; `script` gets the number of the connection, from 0.
struct Stub {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    heads: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Stub {
    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// The request heads that came.
    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

type Heads = Arc<Mutex<Vec<String>>>;

async fn stub<F>(script: impl Fn(TcpStream, usize, Heads) -> F + Send + 'static) -> Stub
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let heads = Heads::default();
    let (count, list) = (connections.clone(), heads.clone());
    let task = tokio::spawn(async move {
        let mut running = tokio::task::JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let number = count.fetch_add(1, Ordering::SeqCst);
            running.spawn(script(stream, number, list.clone()));
        }
    });
    Stub {
        address,
        connections,
        heads,
        task,
    }
}

/// A backend that answers every request on every connection with `answer`, whole.
async fn answering(answer: &'static str) -> Stub {
    stub(move |mut stream, _, heads| async move {
        while let Some(head) = read_head(&mut stream).await {
            heads.lock().unwrap().push(head);
            if stream.write_all(answer.as_bytes()).await.is_err() {
                break;
            }
        }
    })
    .await
}

/// A backend that reads a request's head, writes `part`, and closes.
async fn cutting(part: &'static str) -> Stub {
    stub(move |mut stream, _, heads| async move {
        if let Some(head) = read_head(&mut stream).await {
            heads.lock().unwrap().push(head);
        }
        let _ = stream.write_all(part.as_bytes()).await;
    })
    .await
}

/// An address where nobody listens, until the test ends: its port stays taken, or another test might get it.
async fn nobody() -> SocketAddr {
    use socket2::{Domain, Socket, Type};
    static TAKEN: Mutex<Vec<Socket>> = Mutex::new(Vec::new());
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    socket.bind(&any.into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    TAKEN.lock().unwrap().push(socket);
    address
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// The value of a field of a raw message.
fn field<'a>(message: &'a str, name: &str) -> Option<&'a str> {
    message.lines().find_map(|line| {
        let (field, value) = line.split_once(':')?;
        field.eq_ignore_ascii_case(name).then_some(value.trim())
    })
}

fn status(message: &str) -> u16 {
    let code = message.get(9..12).unwrap_or_default();
    code.parse()
        .unwrap_or_else(|_| panic!("no response: {message:?}"))
}
