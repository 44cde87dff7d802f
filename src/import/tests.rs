use proptest::prelude::*;

use super::{Commands, Imported, lexer, nginx};

fn import(text: &str) -> Imported {
    nginx("nginx.conf", text, &Commands::new(), &|_| Vec::new()).unwrap()
}

/// The lines of the file that say something.
fn said(made: &Imported) -> String {
    let plain = |line: &&str| !line.starts_with('#') && !line.is_empty();
    made.text
        .lines()
        .filter(plain)
        .collect::<Vec<_>>()
        .join("\n")
}

fn missed(made: &Imported) -> Vec<String> {
    made.missed.iter().map(ToString::to_string).collect()
}

/// As it stands on the tutorial's page: without the braces at the end.
#[test]
fn the_tutorials_configuration() {
    let made = import(
        "http {\nupstream myproject {\nserver localhost:8000;\nserver localhost:8001;\nserver localhost:8002;\n\
         server localhost:8003;\n\nserver {\nlisten 80;\nserver_name localhost;\nlocation / {\nproxy_pass http://myproject;\n",
    );
    insta::assert_snapshot!(said(&made), @r#"
    [balancer]
    listen = "localhost:8080"
    [services.myproject]
    external = ["localhost:8000", "localhost:8001", "localhost:8002", "localhost:8003"]
    routes = ["/"]
    "#);
    insta::assert_snapshot!(missed(&made).join("\n"), @r"
    nginx.conf:1: a block whose `}` is missing: read as far as it goes
    nginx.conf:2: a block whose `}` is missing: read as far as it goes
    nginx.conf:8: a block whose `}` is missing: read as far as it goes
    nginx.conf:11: a block whose `}` is missing: read as far as it goes
    ");
    insta::assert_snapshot!(made.notes.join("\n"), @r"
    `listen 80` is for every machine around: lbdev listens on localhost unless `listen` says otherwise
    ports below 1024 need rights: 8080 stands for 80 (line 9)
    ");
}

#[test]
fn a_file_as_people_have_them() {
    let made = import(
        "user www-data;\nworker_processes auto;\nevents { worker_connections 768; }\nhttp {\n\
         include /etc/nginx/mime.types;\n gzip on;\n lua_code_cache on;\n\
         upstream app-1 {\n  least_conn;\n  server 10.0.0.1:8000 weight=5;\n  server 10.0.0.2:8000;\n  server unix:/tmp/x.sock;\n  server 10.0.0.3:8001 slow_start=30s;\n }\n\
         upstream unused { server 127.0.0.1:1; }\n\
         server {\n  listen 443 ssl;\n  listen 8088;\n  server_name example.com www.example.com;\n\
         location / { proxy_pass http://app-1; proxy_set_header X-Custom 1; proxy_read_timeout 2m; }\n\
         location /direct/ { proxy_pass http://127.0.0.1:9000; }\n\
         location /moved/ { proxy_pass http://app-1/; }\n\
         location ~ \\.php$ { fastcgi_pass 127.0.0.1:9001; }\n\
         location /static { root /srv; }\n }\n}\n",
    );
    insta::assert_snapshot!(said(&made), @r#"
    [balancer]
    listen = "localhost:8088"
    algorithm = "least_conn"
    timeouts = { backend_head = "120s" }
    allow_hosts = ["example.com", "www.example.com"]
    [services.app-1]
    external = ["10.0.0.1:8000", "10.0.0.3:8001"]
    routes = ["/"]
    slow_start = "30s"
    backends.8000 = { weight = 5 }
    [services.port-9000]
    external = ["127.0.0.1:9000"]
    routes = ["/direct"]
    "#);
    insta::assert_snapshot!(missed(&made).join("\n"), @r"
    nginx.conf:7: lua_code_cache on: left out: lbdev does not read that
    nginx.conf:11: server 10.0.0.2:8000: a service's backends differ by their ports, and this one is there already
    nginx.conf:12: server unix:/tmp/x.sock: lbdev connects to addresses with ports only
    nginx.conf:15: upstream unused {…}: no location leads to it, or it has no server that lbdev can reach
    nginx.conf:17: listen 443 ssl: lbdev has no TLS: it is for the own machine
    nginx.conf:20: proxy_set_header X-Custom 1: fields of its own lbdev does not add
    nginx.conf:22: proxy_pass http://app-1/: it changes the path, which lbdev passes on as it is
    nginx.conf:23: location ~ \.php$ {…}: a route is a beginning of a path, not an expression
    nginx.conf:24: root /srv: left out: lbdev does not read that
    nginx.conf:24: location /static {…}: nothing in it passes requests on: serve that from your application
    ");
}

#[test]
fn a_command_makes_servers_of_ones_own() {
    let commands = Commands::from([(String::new(), "srv {port}".to_owned())]);
    let text = "upstream a { server 127.0.0.1:8000; server 127.0.0.1:8002; } upstream b { server 10.0.0.1:80; }\n\
                server { location / { proxy_pass http://a; } location /b { proxy_pass http://b; } }";
    let made = nginx("x", text, &commands, &|_| Vec::new()).unwrap();
    // What is on another machine is not started on this one.
    insta::assert_snapshot!(said(&made), @r#"
    [services.a]
    command = "srv {port}"
    ports = "8000,8002"
    routes = ["/"]
    [services.b]
    external = ["10.0.0.1:80"]
    routes = ["/b"]
    "#);
}

#[test]
fn included_files_are_read_in_their_place() {
    let included = |name: &str| match name {
        "conf.d/*.conf" => vec![(
            "conf.d/a.conf".to_owned(),
            "server { location / { proxy_pass http://a; } nonsense; }".to_owned(),
        )],
        _ => Vec::new(),
    };
    let text = "http {\nupstream a { server localhost:8000; }\ninclude conf.d/*.conf;\ninclude gone.conf;\n}";
    let made = nginx("nginx.conf", text, &Commands::new(), &included).unwrap();
    insta::assert_snapshot!(missed(&made).join("\n"), @r"
    conf.d/a.conf:1: nonsense: left out: lbdev does not read that
    nginx.conf:4: include gone.conf: there is no such file
    ");
}

#[test]
fn nothing_passed_on_is_an_error() {
    let error = nginx("x", "server { root /; }", &Commands::new(), &|_| Vec::new()).unwrap_err();
    insta::assert_snapshot!(error, @r"
    error[LB054]: nothing in `x` passes requests on to servers
      x:1: root /: left out: lbdev does not read that
      hint: give it a file with `upstream NAME { … }` and `proxy_pass http://NAME;`
    ");
}

#[test]
fn words_are_nginx_s() {
    let check = |text: &str, expected: &[&str]| {
        let (tree, flaws) = lexer::read("x", text);
        assert_eq!(flaws, [], "{text}");
        assert_eq!(tree[0].words, expected, "{text}");
    };
    check("a b  c;", &["a", "b", "c"]);
    check("a \"b c\" 'd\"';", &["a", "b c", "d\""]);
    check(r#"a "b\"c" d\;e;"#, &["a", "b\"c", r"d\;e"]);
    check("a ${b} $c; # x", &["a", "${b}", "$c"]);
    check("# x\na\n b;", &["a", "b"]);
}

proptest! {
    /// Whatever the file is: an answer, and text that is TOML.
    #[test]
    fn no_file_breaks_it(text in "([a-z/$ ;{}\"'\\\\#\n]|upstream|server|location|proxy_pass http://a|listen|8000){0,60}") {
        if let Ok(made) = nginx("x", &text, &Commands::new(), &|_| Vec::new()) {
            prop_assert!(made.text.parse::<toml::Table>().is_ok(), "{}", made.text);
        }
    }

    /// A flaw, or a word, but never lost: what stands there is in the tree, or told.
    #[test]
    fn a_tree_has_every_word(words in prop::collection::vec("[a-z]{1,8}", 1..20)) {
        let text = format!("{};", words.join(" "));
        let (tree, flaws) = lexer::read("x", &text);
        prop_assert!(flaws.is_empty());
        prop_assert_eq!(&tree[0].words, &words);
    }
}
