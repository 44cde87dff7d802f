//! How upgrades end that have to.

use super::*;

const ASK: &[u8] =
    b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n\r\n";
const SWITCHED: &str =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
/// A text frame from a server, and one from a client.
const TEXT: &[u8] = b"\x81\x05hello";
const MASKED: &[u8] = b"\x81\x82\0\0\0\0hi";
/// Close 1001, unmasked.
const GOING_AWAY: &[u8] = b"\x88\x02\x03\xe9";

/// Two ends of a tunnel, and what the backend gets to hear.
struct Ends {
    front: Front,
    client: TcpStream,
    /// Writes as the backend.
    say: tokio::sync::mpsc::UnboundedSender<Vec<u8>>,
    heard: Arc<Mutex<Vec<u8>>>,
    ended: Arc<tokio::sync::Notify>,
    _stub: Stub,
}

impl Ends {
    /// A backend that switches with `switched` and says first what comes with it.
    async fn open(switched: &'static str, first: &'static [u8]) -> Ends {
        let (say, words) = tokio::sync::mpsc::unbounded_channel::<Vec<u8>>();
        let words = Arc::new(tokio::sync::Mutex::new(words));
        let heard = Arc::new(Mutex::new(Vec::new()));
        let ended = Arc::new(tokio::sync::Notify::new());
        let (hears, ends) = (heard.clone(), ended.clone());
        let stub = stub(move |mut stream, _, _| {
            let (words, hears, ends) = (words.clone(), hears.clone(), ends.clone());
            async move {
                read_head(&mut stream).await.unwrap();
                stream.write_all(switched.as_bytes()).await.unwrap();
                stream.write_all(first).await.unwrap();
                let (mut read, mut write) = stream.split();
                let speak = async {
                    let mut words = words.lock().await;
                    while let Some(word) = words.recv().await {
                        if write.write_all(&word).await.is_err() {
                            break;
                        }
                    }
                    std::future::pending::<()>().await;
                };
                let hear = async {
                    let mut bytes = [0; 4096];
                    while let Ok(n @ 1..) = read.read(&mut bytes).await {
                        hears.lock().unwrap().extend(&bytes[..n]);
                    }
                };
                tokio::select! { () = speak => {} () = hear => {} }
                ends.notify_one();
            }
        })
        .await;
        let front = front(&[stub.address]);
        let mut client = front.connect().await;
        client.write_all(ASK).await.unwrap();
        let head = read_head(&mut client).await.unwrap();
        assert_eq!(status(&head), 101, "{head}");
        Ends {
            front,
            client,
            say,
            heard,
            ended,
            _stub: stub,
        }
    }

    fn streams_end(&self) {
        self.front.member(0).life.end_streams();
    }

    /// Reads as the client exactly these bytes.
    async fn expect(&mut self, expected: &[u8]) {
        let mut bytes = vec![0; expected.len()];
        within(self.client.read_exact(&mut bytes)).await.unwrap();
        assert_eq!(bytes, expected);
    }

    /// Reads as the client to the end.
    async fn rest(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        within(self.client.read_to_end(&mut bytes)).await.unwrap();
        bytes
    }

    /// What the backend heard in all.
    async fn heard(&self) -> Vec<u8> {
        within(self.ended.notified()).await;
        self.heard.lock().unwrap().clone()
    }

    /// Waits until the backend has heard so many bytes.
    async fn hears(&self, bytes: usize) {
        eventually(|| self.heard.lock().unwrap().len() >= bytes).await;
    }
}

/// The close frame of a client: masked, and 1001 under the mask.
#[track_caller]
fn is_masked_going_away(frame: &[u8]) {
    let [0x88, 0x82, a, b, _, _, x, y] = *frame else {
        panic!("no masked close frame with a code: {frame:02x?}");
    };
    assert_eq!([x ^ a, y ^ b], [0x03, 0xe9]);
}

#[tokio::test]
async fn both_ends_of_a_websocket_are_told() {
    let mut ends = Ends::open(SWITCHED, TEXT).await;
    ends.expect(TEXT).await;
    ends.client.write_all(MASKED).await.unwrap();
    ends.hears(MASKED.len()).await;
    assert_eq!(ends.front.member(0).life.in_flight(), 1);
    ends.streams_end();
    assert_eq!(ends.rest().await, GOING_AWAY);
    let heard = ends.heard().await;
    let (before, after) = heard.split_at(MASKED.len());
    assert_eq!(before, MASKED);
    is_masked_going_away(after);
    ends.front.settled().await;
}

#[tokio::test]
async fn before_any_frame_is_a_boundary_too() {
    let mut ends = Ends::open(SWITCHED, b"").await;
    ends.streams_end();
    assert_eq!(ends.rest().await, GOING_AWAY);
    is_masked_going_away(&ends.heard().await);
}

#[tokio::test]
async fn lbdevs_own_end_tells_them_as_well() {
    let mut ends = Ends::open(SWITCHED, TEXT).await;
    ends.expect(TEXT).await;
    let proxy = std::mem::replace(&mut ends.front.proxy, front(&[]).proxy);
    let closing = tokio::spawn(proxy.close(Duration::from_secs(15)));
    assert_eq!(ends.rest().await, GOING_AWAY);
    is_masked_going_away(&ends.heard().await);
    within(closing).await.unwrap();
}

#[tokio::test]
async fn nothing_is_put_into_the_middle_of_a_clients_frame() {
    let mut ends = Ends::open(SWITCHED, TEXT).await;
    ends.expect(TEXT).await;
    ends.client.write_all(&MASKED[..3]).await.unwrap();
    ends.hears(3).await;
    ends.streams_end();
    assert_eq!(ends.rest().await, GOING_AWAY);
    assert_eq!(ends.heard().await, &MASKED[..3]);
}

#[tokio::test]
async fn a_frame_that_does_not_end_is_cut_without_a_word() {
    let mut ends = Ends::open(SWITCHED, b"\x82\x7f\0\0\0\0\0\x01\0\0begun").await;
    ends.expect(b"\x82\x7f\0\0\0\0\0\x01\0\0begun").await;
    ends.streams_end();
    assert_eq!(ends.rest().await, b"");
    is_masked_going_away(&ends.heard().await);
    ends.front.settled().await;
}

#[tokio::test]
async fn who_has_closed_is_told_nothing_more() {
    // The backend has said goodbye to the client itself; the client has not answered yet.
    let mut ends = Ends::open(SWITCHED, b"\x88\x02\x03\xe8").await;
    ends.expect(b"\x88\x02\x03\xe8").await;
    ends.streams_end();
    assert_eq!(ends.rest().await, b"");
    is_masked_going_away(&ends.heard().await);
}

#[tokio::test]
async fn other_protocols_are_only_closed() {
    let other = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n";
    let mut ends = Ends::open(other, b"hello").await;
    ends.expect(b"hello").await;
    ends.streams_end();
    assert_eq!(ends.rest().await, b"");
    assert_eq!(ends.heard().await, b"");
    ends.front.settled().await;
}

#[tokio::test]
async fn it_is_the_run_that_ends_and_not_the_next_one() {
    let mut ends = Ends::open(SWITCHED, TEXT).await;
    ends.expect(TEXT).await;
    let old = ends.front.member(0);
    let next = members(&[old.address], RunId::FIRST.next());
    ends.front.pool().publish(next);
    ends.front.member(0).life.end_streams();
    ends.say.send(TEXT.to_vec()).unwrap();
    ends.expect(TEXT).await;
    old.life.end_streams();
    assert_eq!(ends.rest().await, GOING_AWAY);
}
