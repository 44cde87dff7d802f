//! §3.2: whom a request is for.

use super::*;

#[tokio::test]
async fn s3_2_a_request_has_one_host() {
    let fields = [
        "",
        "Host: localhost\r\nHost: localhost\r\n",
        "Host: localhost\r\nHost: other.localhost\r\n",
        "Host: localhost\r\nhost: localhost\r\n",
        "Host: localhost\r\nX: 1\r\nHOST:\r\n",
    ];
    let requests = fields.map(|fields| format!("GET / HTTP/1.1\r\n{fields}\r\n").into_bytes());
    refused(By::Head, &[400], requests).await;
}

#[tokio::test]
async fn s3_2_a_host_is_a_name_and_maybe_a_port() {
    let hosts = [
        "",
        " ",
        "localhost, other.localhost",
        "localhost,localhost",
        "me@localhost",
        "me:secret@localhost",
        "localhost/path",
        "localhost?a",
        "localhost#a",
        "http://localhost",
        "bad host",
        "localhost:80:80",
        "localhost:port",
        ":80",
        "[::1",
        "::1]",
        "local\\host",
        "local<host>",
    ];
    let requests = hosts.map(|host| format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").into_bytes());
    refused(By::Head, &[400], requests).await;
}

#[tokio::test]
async fn s3_2_a_good_host_passes_as_it_stands() {
    let hosts = [
        "localhost",
        "LocalHost:8080",
        "shop.localhost:1",
        "127.0.0.1:65535",
        "[::1]:8080",
        "[::1]",
        "localhost:",
    ];
    let requests =
        hosts.map(|host| format!("GET / HTTP/1.1\r\nhoSt:\t{host} \r\n\r\n").into_bytes());
    for (taken, host) in served(requests).await.iter().zip(hosts) {
        assert_eq!(field(&taken.head, "host"), Some(host));
    }
}

#[tokio::test]
async fn s3_2_2_the_authority_of_an_absolute_form_is_the_host() {
    let requests = [
        "GET http://shop.localhost:81/x?y HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET HTTP://shop.localhost:81/x?y HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ];
    for taken in served(requests.map(|request| request.as_bytes().to_vec())).await {
        assert!(
            taken.head.starts_with("GET /x?y HTTP/1.1\r\n"),
            "{}",
            taken.head
        );
        assert_eq!(field(&taken.head, "host"), Some("shop.localhost:81"));
        assert_eq!(
            taken.head.to_ascii_lowercase().matches("\r\nhost:").count(),
            1
        );
    }
    // A path that is not there is the root.
    let bare = b"GET http://localhost?y HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec();
    let taken = served([bare]).await;
    assert!(
        taken[0].head.starts_with("GET /?y HTTP/1.1\r\n"),
        "{}",
        taken[0].head
    );
}

#[tokio::test]
async fn s3_2_2_an_absolute_form_needs_a_good_authority_and_a_host_all_the_same() {
    let requests = [
        "GET http://me@localhost/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET http:///path HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET http://a,b/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET http://localhost/ HTTP/1.1\r\n\r\n",
        "GET http://localhost/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    ];
    refused(
        By::Head,
        &[400],
        requests.map(|request| request.as_bytes().to_vec()),
    )
    .await;
}

#[tokio::test]
async fn s3_2_3_connect_is_not_for_us_whomever_it_names() {
    let (front, backend) = set_up().await;
    for request in [
        "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n",
        "CONNECT localhost:80 HTTP/1.1\r\nHost: localhost:80\r\n\r\n",
    ] {
        let mut stream = front.connect().await;
        stream.write_all(request.as_bytes()).await.unwrap();
        let head = read_head(&mut stream).await.unwrap();
        assert_eq!(status(&head), 405, "{head}");
        // RFC 9110 §15.5.6.
        assert!(field(&head, "allow").is_some(), "{head}");
    }
    assert_eq!(backend.stub.connections(), 0);
}

#[tokio::test]
async fn s3_2_4_only_options_is_for_all_of_a_server() {
    let (front, backend) = set_up().await;
    for method in ["GET", "POST", "HEAD", "PURGE"] {
        let mut stream = front.connect().await;
        let request = format!("{method} * HTTP/1.1\r\nHost: localhost\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let head = read_head(&mut stream).await.unwrap();
        assert_eq!(status(&head), 400, "{head}");
    }
    let mut stream = front.connect().await;
    for _ in 0..2 {
        stream
            .write_all(b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .await
            .unwrap();
        let head = read_head(&mut stream).await.unwrap();
        assert_eq!(status(&head), 200, "{head}");
        assert_eq!(field(&head, "content-length"), Some("0"), "{head}");
    }
    assert_eq!(backend.stub.connections(), 0);
}

#[tokio::test]
async fn s3_3_http_1_0_may_name_nobody() {
    let (front, backend) = set_up().await;
    let answer = front.send(b"GET / HTTP/1.0\r\n\r\n").await;
    assert_eq!(status(&answer), 200, "{answer}");
    assert_eq!(backend.taken().len(), 1);
}
