//! Free ports. Each test gets a block that nobody else has: other tests of this process, and of other test processes on
//! the same machine, are kept out by a lock file; whatever else listens, by binding.

use std::fs::{File, OpenOptions};
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Below the range from which the system takes ports for outgoing connections.
const FIRST: u32 = 20_000;
const BLOCK: u32 = 10;
const BLOCKS: u32 = 1_200;

/// Ten ports in a row: the first eight for backends, so that a service can grow, the ninth for the balancer, one spare.
#[derive(Debug)]
pub struct Block {
    pub first: u16,
    _lock: File,
}

impl Block {
    /// The next free block.
    pub fn take() -> Block {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        // Test processes start at different places, so that they rarely meet at all.
        let offset = std::process::id().wrapping_mul(37);
        let dir = std::env::temp_dir().join(format!(
            "lbdev-test-ports-{}",
            rustix::process::getuid().as_raw()
        ));
        std::fs::create_dir_all(&dir).expect("the folder of port locks can be made");
        for _ in 0..BLOCKS {
            let number = (offset.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed))) % BLOCKS;
            let first = u16::try_from(FIRST + number * BLOCK).expect("below 32,000");
            let lock = OpenOptions::new()
                .create(true)
                .truncate(false)
                .write(true)
                .open(dir.join(first.to_string()))
                .expect("a port lock can be opened");
            if lock.try_lock().is_ok() && (first..first + 10).all(is_free) {
                return Block { first, _lock: lock };
            }
        }
        panic!("no ten free ports in a row between 20000 and 32000");
    }

    /// The four that `up` uses without `-n`.
    pub fn four(&self) -> [u16; 4] {
        [self.first, self.first + 1, self.first + 2, self.first + 3]
    }

    /// `20000-20003`, for `--ports`.
    pub fn range(&self) -> String {
        format!("{}-{}", self.first, self.first + 3)
    }

    /// Where the balancer listens.
    pub fn listen(&self) -> u16 {
        self.first + 8
    }

    /// One that lbdev is not told of.
    pub fn spare(&self) -> u16 {
        self.first + 9
    }

    /// All ten.
    pub fn all(&self) -> std::ops::Range<u16> {
        self.first..self.first + 10
    }
}

/// More ports in a row than a block has, of blocks that follow each other.
#[derive(Debug)]
pub struct Row {
    first: u16,
    count: u16,
    _blocks: Vec<Block>,
}

impl Row {
    /// So many in a row.
    pub fn take(count: u16) -> Row {
        // Blocks are handed out in order, except where somebody else has one.
        let mut blocks: Vec<Block> = Vec::new();
        for _ in 0..BLOCKS {
            let next = Block::take();
            if blocks
                .last()
                .is_some_and(|last| last.all().end != next.first)
            {
                blocks.clear();
            }
            blocks.push(next);
            let first = blocks[0].first;
            if next_end(&blocks) - first >= count {
                return Row {
                    first,
                    count,
                    _blocks: blocks,
                };
            }
        }
        panic!("no {count} free ports in a row between 20000 and 32000");
    }

    fn all(&self) -> std::ops::Range<u16> {
        self.first..self.first + self.count
    }

    /// `20000-20099`, for `--ports`.
    pub fn range(&self) -> String {
        format!("{}-{}", self.first, self.all().end - 1)
    }

    /// Nobody listens on any of them.
    pub fn is_free(&self) -> bool {
        self.all().all(is_free)
    }
}

fn next_end(blocks: &[Block]) -> u16 {
    blocks.last().map_or(0, |block| block.all().end)
}

/// Nobody listens there, on either loopback address.
pub fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
        // A machine without IPv6 has nothing there to be in the way.
        && (TcpListener::bind((Ipv6Addr::LOCALHOST, port)).is_ok()
            || TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err())
}

/// Somebody accepts connections there.
pub fn answers(port: u16) -> bool {
    let connect = |address: std::net::SocketAddr| {
        TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok()
    };
    connect((Ipv4Addr::LOCALHOST, port).into()) || connect((Ipv6Addr::LOCALHOST, port).into())
}
