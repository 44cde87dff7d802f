use super::*;

#[test]
fn embedded_descriptions_are_valid() {
    let mut ids: Vec<&str> = frameworks().iter().map(|f| f.id.as_str()).collect();
    for framework in frameworks() {
        let named = |text: &String| text.contains("{port}");
        let says_port = named(&framework.command) || framework.env.values().any(named);
        assert!(says_port, "{}", framework.id);
        let texts = framework.seen.iter().filter_map(|seen| seen.text.as_ref());
        let texts = texts.chain(framework.finds.iter().filter_map(|find| find.text.as_ref()));
        for text in texts.chain(&framework.access) {
            Regex::new(text).unwrap();
        }
    }
    assert!(access_lines().len() > 2);
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), all, "two have one name");
    // Each file of the folder is read.
    let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/templates/frameworks"));
    let names = files.unwrap().map(|file| file.unwrap().file_name());
    let mut names: Vec<String> = names
        .map(|name| name.to_string_lossy().trim_end_matches(".toml").to_owned())
        .collect();
    names.sort_unstable();
    assert_eq!(names, ids);
}

/// A folder with these files: what it is, why, and how one backend is run.
#[track_caller]
fn check(files: &[(&str, &str)], expected: &[(&str, &str)]) {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let found = recognise(dir.path());
    let found: Vec<(String, String)> = found
        .iter()
        .map(|one| {
            let command = one.fill(&one.framework.command);
            let command = command.unwrap_or_else(|find| format!("no {}", find.name));
            (one.origin(), command)
        })
        .collect();
    let found: Vec<(&str, &str)> = found.iter().map(|(a, b)| (&**a, &**b)).collect();
    assert_eq!(found, expected);
}

const DJANGO: (&str, &str) = (
    "Django (manage.py)",
    "{python} manage.py runserver --noreload 127.0.0.1:{port}",
);

#[test]
fn every_row_of_the_table() {
    check(&[("readme.txt", "")], &[]);
    check(&[("manage.py", "")], &[DJANGO]);
    check(
        &[
            ("requirements.txt", "# web\nFastAPI[standard]>=0.1\n"),
            ("main.py", "import x\napp = FastAPI(title='x')\n"),
        ],
        &[(
            "FastAPI (requirements.txt)",
            "{python} -m uvicorn main:app --host 127.0.0.1 --port {port}",
        )],
    );
    check(
        &[
            ("pyproject.toml", "dependencies = [\"fastapi>=0.100\"]"),
            ("app/main.py", "api: FastAPI = fastapi.FastAPI()\n"),
        ],
        &[(
            "FastAPI (pyproject.toml)",
            "{python} -m uvicorn app.main:api --host 127.0.0.1 --port {port}",
        )],
    );
    check(
        &[
            ("requirements.txt", "fastapi\n"),
            ("other.py", "app = FastAPI()"),
        ],
        &[("FastAPI (requirements.txt)", "no app")],
    );
    check(
        &[
            ("requirements.txt", "starlette==1\n"),
            ("app.py", "site = Starlette(routes=[])\n"),
        ],
        &[(
            "Starlette (requirements.txt)",
            "{python} -m uvicorn app:site --host 127.0.0.1 --port {port}",
        )],
    );
    // An extension of Flask is not Flask.
    check(
        &[("requirements.txt", "fastapi-utils-of-mine-not\n# flask\n")],
        &[("FastAPI (requirements.txt)", "no app")],
    );
    for (file, text, app) in [
        ("app.py", "app = Flask(__name__)\n", "app"),
        (
            "wsgi.py",
            "    app: Flask = flask.Flask(__name__)\n",
            "wsgi",
        ),
        ("app/__init__.py", "def create_app(test=None):\n", "app"),
    ] {
        let command =
            format!("{{python}} -m flask --app {app} run --host 127.0.0.1 --port {{port}}");
        check(
            &[("requirements.txt", "Flask~=3.1\n"), (file, text)],
            &[("Flask (requirements.txt)", &command)],
        );
    }
    check(
        &[
            ("package.json", r#"{"devDependencies": {"vite": "^6"}}"#),
            ("index.html", ""),
        ],
        &[
            (
                "Vite (package.json)",
                "node_modules/.bin/vite --host 127.0.0.1 --port {port} --strictPort",
            ),
            (
                "static files (index.html)",
                "{lbdev} __static --port {port} --dir .",
            ),
        ],
    );
    check(
        &[("package.json", r#"{"dependencies": {"next": "15"}}"#)],
        &[(
            "Next.js (package.json)",
            "node_modules/.bin/next start -H 127.0.0.1 -p {port}",
        )],
    );
    check(
        &[(
            "package.json",
            r#"{"scripts": {"start" : "node src/server.js"}}"#,
        )],
        &[("Node.js (package.json)", "node src/server.js")],
    );
    // What npm would start otherwise is not known.
    check(
        &[(
            "package.json",
            r#"{"scripts": {"start": "react-scripts start"}}"#,
        )],
        &[],
    );
    check(
        &[("bin/rails", "")],
        &[(
            "Rails (bin/rails)",
            "bin/rails server -b 127.0.0.1 -p {port} -P tmp/pids/lbdev-{port}.pid",
        )],
    );
    check(
        &[("artisan", "")],
        &[(
            "Laravel (artisan)",
            "php artisan serve --host=127.0.0.1 --port={port} --tries=0 --no-reload",
        )],
    );
    let java = |jars: &str| {
        format!(
            "sh -c 'exec java -jar $(ls {jars} | grep -v plain | head -n 1) --server.port={{port}}'"
        )
    };
    check(
        &[(
            "pom.xml",
            "<artifactId>spring-boot-starter-parent</artifactId>",
        )],
        &[("Spring Boot (pom.xml)", &java("target/*.jar"))],
    );
    check(
        &[
            ("build.gradle", "id 'org.springframework.boot'"),
            ("gradlew", ""),
        ],
        &[("Spring Boot (build.gradle)", &java("build/libs/*.jar"))],
    );
    check(&[("pom.xml", "<packaging>pom</packaging>")], &[]);
    check(
        &[("go.mod", "module x"), ("main.go", "")],
        &[("Go (go.mod)", ".lbdev/server")],
    );
    check(&[("go.mod", "module x"), ("lib.go", "")], &[]);
    let cargo = "[package]\nversion = \"1\"\nname = \"shop\"\n[dependencies]\n";
    check(
        &[("Cargo.toml", cargo), ("src/main.rs", "")],
        &[("Rust (Cargo.toml)", "target/debug/shop")],
    );
    check(&[("Cargo.toml", cargo), ("src/lib.rs", "")], &[]);
    check(
        &[("WEB-INF/web.xml", "")],
        &[("Tomcat (WEB-INF)", "{lbdev} __tomcat --port {port} --dir .")],
    );
    check(
        &[("shop.war", "")],
        &[(
            "Tomcat (shop.war)",
            "{lbdev} __tomcat --port {port} --dir .",
        )],
    );
    check(
        &[("manage.py", ""), ("index.html", "")],
        &[
            DJANGO,
            (
                "static files (index.html)",
                "{lbdev} __static --port {port} --dir .",
            ),
        ],
    );
}

#[test]
fn builds_know_their_tool() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    write("pom.xml", "spring-boot");
    let build = || {
        let found = recognise(dir.path()).remove(0);
        found.fill(&found.framework.before[0]).unwrap()
    };
    assert_eq!(build(), "mvn -q -DskipTests package");
    write("mvnw", "");
    assert_eq!(build(), "./mvnw -q -DskipTests package");
}

#[test]
fn folders_below() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(below(dir.path()), None);
    std::fs::create_dir(dir.path().join("site")).unwrap();
    std::fs::write(dir.path().join("site/manage.py"), "").unwrap();
    assert_eq!(below(dir.path()).as_deref(), Some("site"));
}

/// Lines as these servers wrote them.
#[test]
fn lines_about_requests() {
    for line in [
        r#"[26/Nov/2026 22:45:19] "GET / HTTP/1.1" 200 1026"#,
        r#"[26/Nov/2026 22:45:19] "POST /a?b=1 HTTP/1.1" 302 0"#,
        r#"INFO:     127.0.0.1:52100 - "GET /ws HTTP/1.1" 404 Not Found"#,
        "\u{1b}[32mINFO\u{1b}[0m:     127.0.0.1:52100 - \"\u{1b}[1mGET / HTTP/1.1\u{1b}[0m\" \u{1b}[32m200 OK\u{1b}[0m",
        r#"127.0.0.1 - - [26/Nov/2026 22:45:19] "GET / HTTP/1.1" 200 -"#,
    ] {
        assert!(access_lines().is_match(line), "{line}");
    }
    for line in [
        "Starting development server at http://127.0.0.1:8100/",
        r#"  File "/tmp/dj/notes/views.py", line 96"#,
        r#"Internal Server Error: "GET /""#,
        r#"INFO:     Application startup complete."#,
        r#"WARNING [26/Nov/2026 22:45:19] "GET / HTTP/1.1" 200 1026"#,
    ] {
        assert!(!access_lines().is_match(line), "{line}");
    }
}
