//! Scheduled jobs, natively: their requests, their bounds and their log lines.

#![allow(missing_docs, clippy::allow_attributes, clippy::panic, reason = "test code")]
#![allow(clippy::arithmetic_side_effects, clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

mod support;

use airlock::jobs::Jobs;
use airlock::platform::{Level, SendError};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use support::{NOW, Request, URL, World, reply};

const KEY: &str = "sb_secret_test";

const LABELS: [&str; 4] = [
    "job:purge-deleted-rows",
    "job:purge-expired-idempotency-keys",
    "job:purge-deleted-organizations",
    "job:purge-expired-invitations",
];

fn world() -> World {
    World::new().with("SUPABASE_SECRET_KEY", KEY)
}

fn legacy(role: &str) -> String {
    let payload = URL_SAFE_NO_PAD.encode(json!({ "role": role }).to_string());
    format!("e30.{payload}.c2ln")
}

/// The log lines of one scheduled event. All replies of the database must be asked for.
fn run(world: &World) -> Vec<(Level, Value)> {
    let good = pollster::block_on(Jobs::load(world).run(world));
    assert!(world.replies.borrow().is_empty(), "a reply was not asked for");
    let lines = world.logs.take();
    for (_, line) in &lines {
        assert!(!line.contains(KEY), "{line}");
    }
    // The event fails with a job.
    assert_eq!(good, lines.iter().all(|(level, _)| *level != Level::Error));
    lines.into_iter().map(|(level, line)| (level, serde_json::from_str(&line).unwrap())).collect()
}

/// Level, outcome, rows and batches of each line.
fn counted(lines: &[(Level, Value)]) -> Vec<(Level, &str, u64, u64)> {
    lines
        .iter()
        .map(|(level, line)| {
            let number = |name: &str| line[name].as_u64().unwrap();
            let outcome = line["outcome"].as_str().unwrap();
            (*level, outcome, number("rows"), number("batches"))
        })
        .collect()
}

#[test]
fn each_job_runs_batches_under_its_label_until_one_is_not_full() {
    let world = world();
    for rows in [1000, 1000, 999, 0, 5, 1000, 0] {
        world.will_reply(200, json!(rows));
    }
    let lines = run(&world);
    assert_eq!(
        counted(&lines),
        [
            (Level::Info, "done", 2999, 3),
            (Level::Info, "done", 0, 1),
            (Level::Info, "done", 5, 1),
            (Level::Info, "done", 1000, 2),
        ]
    );
    assert_eq!(lines[0].1["duration_ms"], 3000);

    let run = &lines[0].1["run"];
    let mut labels = Vec::new();
    for sent in world.sent.take() {
        assert_eq!(sent.method(), "POST");
        assert_eq!(sent.url(), format!("{URL}/rest/v1/rpc/airlock_run_job"));
        let headers: Vec<_> = sent.headers().collect();
        let json = "application/json";
        let expected = [("apikey", KEY), ("accept", json), ("content-type", json)];
        assert_eq!(headers, expected, "and no token");
        let body: Value = serde_json::from_str(&sent.body.unwrap()).unwrap();
        let label = body["job_label"].as_str().unwrap().to_owned();
        let parameters = json!({"job_label": label, "job_run": run, "after_days": 30, "at_most": 1000});
        assert_eq!(body, parameters);
        labels.push(label);
    }
    let [rows, keys, organizations, invitations] = LABELS;
    let expected = [rows, rows, rows, keys, organizations, invitations, invitations];
    assert_eq!(labels, expected);
    for ((_, line), label) in lines.iter().zip(LABELS) {
        assert_eq!((&line["event"], &line["label"]), (&json!("job"), &json!(label)));
        assert_eq!(&line["run"], run);
        assert_eq!((&line["code"], &line["reason"]), (&Value::Null, &Value::Null));
    }
}

#[test]
fn each_run_has_its_own_id() {
    let names = [(); 2].map(|()| {
        let world = world();
        for _ in LABELS {
            world.will_reply(200, json!(0));
        }
        run(&world)[0].1["run"].clone()
    });
    assert_ne!(names[0], names[1]);
}

#[test]
fn job_stops_at_ten_batches_and_logs_unfinished() {
    let world = world();
    for _ in 0..40 {
        world.will_reply(200, json!(1000));
    }
    let expected = (Level::Warn, "unfinished", 10_000, 10);
    assert_eq!(counted(&run(&world)), [expected; 4]);
}

#[test]
fn run_stops_after_five_minutes() {
    let world = world();
    world.takes.set(299_000);
    for _ in 0..2 {
        world.will_reply(200, json!(1000));
    }
    let not_begun = (Level::Warn, "unfinished", 0, 0);
    assert_eq!(counted(&run(&world)), [(Level::Warn, "unfinished", 2000, 2), not_begun, not_begun, not_begun]);
    let begin = NOW * 1000;
    let deadlines = [begin + 10_000, begin + 300_000].map(|deadline| ("database", deadline));
    assert_eq!(world.deadlines.take(), deadlines);
}

#[test]
fn failed_job_is_logged_and_does_not_stop_the_others() {
    let world = world();
    let refused = |status, code, message| reply(status, &json!({"code": code, "message": message}));
    let replies = [
        reply(200, &json!(1000)),
        Err(SendError::Timeout),
        refused(404, "PGRST202", "Could not find the function public.airlock_run_job"),
        refused(403, "42501", "permission denied for function airlock_run_job"),
        reply(200, &json!(1001)),
    ];
    world.replies.borrow_mut().extend(replies);
    let lines = run(&world);
    let failed = (Level::Error, "failed", 0, 0);
    assert_eq!(counted(&lines), [(Level::Error, "failed", 1000, 1), failed, failed, failed]);
    let reasons = lines.iter().map(|(_, line)| {
        let text = |name: &str| line[name].as_str().unwrap().to_owned();
        (text("code"), text("reason"))
    });
    let expected = [
        ("upstream_timeout", "no answer in time"),
        ("internal", "the schema lacks what the Worker expects: are the migrations applied?"),
        ("internal", "permission denied: a grant is missing"),
        ("upstream_invalid", "a batch without its count"),
    ];
    let expected = expected.map(|(code, reason)| (code.to_owned(), reason.to_owned()));
    assert_eq!(reasons.collect::<Vec<_>>(), expected);
    let upstream = lines.iter().map(|(_, line)| (line["upstream_status"].as_u64(), line["upstream_code"].as_str()));
    let expected = [(None, None), (Some(404), Some("PGRST202")), (Some(403), Some("42501")), (None, None)];
    assert_eq!(upstream.collect::<Vec<_>>(), expected);
}

#[test]
fn without_a_secret_key_jobs_are_off() {
    for world in [World::new(), World::new().with("SUPABASE_SECRET_KEY", "")] {
        let message = "SUPABASE_SECRET_KEY is not set: scheduled jobs are off.";
        let line = json!({"event": "jobs_off", "message": message});
        assert_eq!(run(&world), [(Level::Info, line)]);
        assert!(world.sent.borrow().is_empty());
    }
}

#[test]
fn key_of_another_role_is_refused() {
    for bad in [
        "sb_publishable_test".to_owned(),
        legacy("anon"),
        legacy("authenticated"),
        "e30.e30.c2ln".to_owned(),
        "anything".to_owned(),
        format!("{}.more", legacy("service_role")),
        "sb_secret_\n".to_owned(),
        "sb_secret_é".to_owned(),
    ] {
        let lines = run(&world().with("SUPABASE_SECRET_KEY", &bad));
        let [(Level::Error, line)] = &lines[..] else { panic!("{lines:?}") };
        assert_eq!(line["event"], "misconfigured");
        let message = line["message"].as_str().unwrap();
        assert!(message.starts_with("SUPABASE_SECRET_KEY "), "{message}");
        assert!(!message.contains(&bad), "{message}");
    }
}

#[test]
fn bad_setting_of_the_jobs_is_logged_once_and_requests_go_on() {
    let logged = |name, value| {
        let world = World::new().with(name, value);
        let answer = Request::new("GET", "/health").send(&world.pipeline(), &world);
        assert_eq!(answer.status, 200, "{name}={value}");
        let mut logged = world.logs.take();
        logged.retain(|(_, line)| line.contains("misconfigured"));
        logged
    };
    for (name, bad, good) in [
        ("SUPABASE_SECRET_KEY", &["sb_secret_", "sb_publishable_x", "anything"], &["", "sb_secret_x"][..]),
        ("PURGE_AFTER_DAYS", &["0", "3651", "+30"], &["30"]),
    ] {
        for value in bad {
            let logged = logged(name, value);
            let [(Level::Error, line)] = &logged[..] else { panic!("{name}={value}: {logged:?}") };
            assert!(line.contains(&format!(r#""misconfigured","message":"{name} is "#)), "{line}");
        }
        for value in good {
            assert!(logged(name, value).is_empty(), "{name}={value}");
        }
    }
}

#[test]
fn legacy_key_is_also_sent_as_token() {
    let key = legacy("service_role");
    let world = world().with("SUPABASE_SECRET_KEY", &key);
    for _ in LABELS {
        world.will_reply(200, json!(0));
    }
    run(&world);
    for sent in world.sent.take() {
        assert_eq!(sent.header("apikey"), Some(&*key));
        assert_eq!(sent.header("authorization"), Some(&*format!("Bearer {key}")));
    }
}

#[test]
fn purge_after_days_is_1_to_3650() {
    for (text, days) in [("1", 1), ("3650", 3650), ("", 30)] {
        let world = world().with("PURGE_AFTER_DAYS", text);
        for _ in LABELS {
            world.will_reply(200, json!(0));
        }
        run(&world);
        for sent in world.sent.take() {
            let body: Value = serde_json::from_str(&sent.body.unwrap()).unwrap();
            assert_eq!(body["after_days"], days);
        }
    }
    for bad in ["0", "-1", "3651", "1.5", "30d", " 30"] {
        let lines = run(&world().with("PURGE_AFTER_DAYS", bad));
        let message = "PURGE_AFTER_DAYS is not a number of days from 1 to 3650";
        let line = json!({"event": "misconfigured", "message": message});
        assert_eq!(lines, [(Level::Error, line)], "{bad}");
    }
}

#[test]
fn jobs_need_only_the_project_url_and_the_secret_key() {
    let mut bare = world();
    bare.vars.retain(|name, _| ["SUPABASE_URL", "SUPABASE_SECRET_KEY"].contains(name));
    bare.missing = Some("LIMIT_IP");
    bare.declaration = "{".to_owned();
    for _ in LABELS {
        bare.will_reply(200, json!(0));
    }
    assert_eq!(counted(&run(&bare)), [(Level::Info, "done", 0, 1); 4]);

    bare.vars.remove("SUPABASE_URL");
    let line = json!({"event": "misconfigured", "message": "SUPABASE_URL is missing"});
    assert_eq!(run(&bare), [(Level::Error, line)]);
}
