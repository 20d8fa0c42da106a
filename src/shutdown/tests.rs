//! Every event in every state, and thousands of ends with chance delays and failures.

use shards::base::random::Random;

use super::*;

const TOTAL_MS: u64 = 20_000;
const SHARDS: usize = 2;

fn request() -> Request {
    Request {
        reason: Reason::Sigterm,
        saves: true,
        forced: false,
        now: false,
        total_ms: TOTAL_MS,
        replicas_ms: 10_000,
        hands_over: false,
        safe: false,
        linger_ms: 1000,
    }
}

fn handover() -> Request {
    Request { hands_over: true, ..request() }
}

fn report(attempt: u64, stage: Stage, done: bool) -> Report {
    Report { attempt, stage, done, counts: Counts::default() }
}

/// What ends a stage by itself, or nothing if it never waits.
fn ends(stage: Stage) -> Vec<Event> {
    match stage {
        Stage::Handover => vec![Event::HandedOver],
        Stage::Replicas => vec![Event::ReplicasReady],
        Stage::Child => vec![Event::ChildGone],
        Stage::Save => vec![Event::Saved],
        Stage::Files => vec![],
        Stage::Hold
        | Stage::Linger
        | Stage::Intake
        | Stage::Drain
        | Stage::Pause
        | Stage::Clients
        | Stage::Shards => {
            let reports = (0..SHARDS).map(|shard| Event::Reported(shard, report(1, stage, true)));
            let closed = (stage == Stage::Clients).then_some(Event::ReplicasClosed);
            closed.into_iter().chain(reports).collect()
        }
    }
}

/// The name of the state that it is in.
fn name(shutdown: &Shutdown) -> &'static str {
    match shutdown.stage() {
        Some(stage) => stage.name(),
        None if shutdown.is_under_way() => "over",
        None => "serving",
    }
}

/// One that has come to this state.
fn one_in(state: &str, request: Request) -> Shutdown {
    let mut shutdown = Shutdown::new(SHARDS);
    if state == "serving" {
        return shutdown;
    }
    shutdown.handle(Uptime(1000), Event::Asked(request), &mut Vec::new());
    for stage in Stage::ALL {
        if name(&shutdown) == state {
            break;
        }
        for event in ends(stage) {
            shutdown.handle(Uptime(1000), event, &mut Vec::new());
        }
    }
    assert_eq!(name(&shutdown), state);
    shutdown
}

/// To which state each event leads from each; `.` for the same. `late` is a tick when the time of
/// any stage is over, `stalled` one when a late snapshot has not got on for too long.
const PAIRS: &str = "
state    asked  aborted tick late     stalled  done     half stale ready child saved    failed
serving  intake .       .    .        .        .        .    .     .     .     .        .
intake   .      serving .    drain    drain    drain    .    .     .     .     .        .
drain    .      serving .    pause    pause    pause    .    .     .     .     .        .
pause    .      serving .    replicas replicas replicas .    .     .     .     .        .
replicas .      serving .    child    child    .        .    .     child .     .        .
child    .      serving .    save     save     .        .    .     .     save  .        .
save     .      .       .    .        serving  .        .    .     .     .     clients  serving
clients  .      .       .    shards   shards   shards   .    .     .     .     .        .
shards   .      .       .    over     over     over     .    .     .     .     .        .
over     .      .       .    .        .        .        .    .     .     .     .        .
";

/// The same in front of these states, if a replica is to take over.
const PAIRS_OF_HANDOVER: &str = "
state    asked aborted tick late   stalled done     half stale handed nobody
serving  hold  .       .    .      .       .        .    .     .      .
hold     .     serving .    intake intake  handover .    .     .      .
handover .     serving .    intake intake  .        .    .     linger intake
linger   .     serving .    intake intake  intake   .    .     .      .
";

/// What is different if the process only ends when one does.
const PAIRS_OF_SAFE_HANDOVER: &str = "
state    tick late    stalled handed nobody
hold     .    serving serving .      .
handover .    serving serving linger serving
linger   .    intake  intake  .      .
";

/// The events of a column.
fn column(name: &str, state: &str, request: Request) -> Vec<(u64, Event)> {
    let stage = Stage::ALL.into_iter().find(|stage| stage.name() == state);
    let stage = stage.unwrap_or(Stage::Intake);
    let other = if stage == Stage::Drain { Stage::Clients } else { Stage::Drain };
    let all_report = |attempt, stage| {
        (0..SHARDS).map(move |shard| (0, Event::Reported(shard, report(attempt, stage, true))))
    };
    match name {
        "asked" => vec![(0, Event::Asked(request))],
        "aborted" => vec![(0, Event::Aborted)],
        "tick" => vec![(0, Event::Tick), (1, Event::Tick)],
        "late" => vec![(TOTAL_MS, Event::Tick)],
        "stalled" => vec![(TOTAL_MS + STALL_MS, Event::Tick)],
        "done" => all_report(1, stage).chain([(0, Event::ReplicasClosed)]).collect(),
        "half" => vec![
            (0, Event::Reported(0, report(1, stage, true))),
            (0, Event::Reported(0, report(1, stage, true))),
            (0, Event::Reported(1, report(1, stage, false))),
        ],
        "stale" => all_report(0, stage).chain(all_report(1, other)).collect(),
        "handed" => vec![(0, Event::HandedOver)],
        "nobody" => vec![(0, Event::NoSuccessor)],
        "ready" => vec![(0, Event::ReplicasReady)],
        "child" => vec![(0, Event::ChildGone)],
        "saved" => vec![(0, Event::Progress(7)), (0, Event::Saved)],
        "failed" => vec![(0, Event::SaveFailed)],
        _ => panic!("no column {name}"),
    }
}

#[test]
fn every_event_in_every_state_leads_where_the_table_says() {
    let mut states = check_pairs(PAIRS, request());
    // Files are closed in one go: nothing can happen in between.
    let all = Stage::ALL.into_iter().filter(|stage| *stage != Stage::Files).map(Stage::name);
    let all: Vec<_> = ["serving"].into_iter().chain(all).chain(["over"]).collect();
    states.splice(1..1, check_pairs(PAIRS_OF_HANDOVER, handover()).split_off(1));
    assert_eq!(states, all);
    check_pairs(PAIRS_OF_SAFE_HANDOVER, Request { safe: true, ..handover() });
    let forced = Request { safe: true, forced: true, ..handover() };
    check_pairs(PAIRS_OF_HANDOVER, forced);
}

/// Checks that each event leads where a table says. The states of its lines.
fn check_pairs(table: &'static str, request: Request) -> Vec<&'static str> {
    let mut lines = table.trim().lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let columns = lines.next().unwrap();
    let mut states = Vec::new();
    for line in lines {
        let state = line[0];
        states.push(state);
        assert_eq!(line.len(), columns.len(), "{state}");
        for (column_name, expected) in columns.iter().zip(&line).skip(1) {
            let mut shutdown = one_in(state, request);
            for (millis, event) in column(column_name, state, request) {
                shutdown.handle(Uptime(1000 + millis), event, &mut Vec::new());
            }
            let expected = if *expected == "." { state } else { expected };
            assert_eq!(name(&shutdown), expected, "{column_name} in {state}");
        }
    }
    states
}

#[test]
fn clients_are_told_who_took_over_for_as_long_as_is_asked() {
    for (linger_ms, most) in [(0, 0), (700, 700), (60_000, TOTAL_MS / 10)] {
        let mut shutdown = one_in("handover", Request { linger_ms, ..handover() });
        shutdown.handle(Uptime(1000), Event::HandedOver, &mut Vec::new());
        assert_eq!(name(&shutdown), "linger", "{linger_ms}");
        assert_eq!(shutdown.deadline(), Some(Uptime(1000 + most)), "{linger_ms}");
        let mut actions = Vec::new();
        shutdown.handle(Uptime(1000 + most), Event::Tick, &mut actions);
        assert_eq!(name(&shutdown), "intake", "{linger_ms}");
        let is_warning = |it: &&Action| matches!(it, Action::Log(line) if line.is_warning());
        assert_eq!(actions.iter().filter(is_warning).count(), 0, "that is no failure");
    }
    // Who is in a hurry does not wait for that.
    let mut shutdown = one_in("linger", handover());
    let hurry = Request { now: true, ..request() };
    shutdown.handle(Uptime(1000), Event::Asked(hurry), &mut Vec::new());
    assert_eq!(name(&shutdown), "intake");
}

#[test]
fn the_process_is_there_until_its_replicas_are_told_of() {
    let mut shutdown = one_in("clients", request());
    for shard in 0..SHARDS {
        let done = Event::Reported(shard, report(1, Stage::Clients, true));
        shutdown.handle(Uptime(1000), done, &mut Vec::new());
    }
    assert_eq!(name(&shutdown), "clients");
    shutdown.handle(Uptime(1000), Event::ReplicasClosed, &mut Vec::new());
    assert_eq!(name(&shutdown), "shards");
}

#[test]
fn with_force_a_snapshot_that_fails_or_stalls_is_passed_over() {
    for event in [Event::SaveFailed, Event::Tick] {
        let mut shutdown = one_in("save", Request { forced: true, ..request() });
        shutdown.handle(Uptime(TOTAL_MS + STALL_MS + 1000), event, &mut Vec::new());
        assert_eq!(name(&shutdown), "clients");
    }
    // Also if only the second who asks says so.
    let mut shutdown = one_in("drain", request());
    let forced = Request { forced: true, ..request() };
    shutdown.handle(Uptime(1000), Event::Asked(forced), &mut Vec::new());
    for stage in [Stage::Drain, Stage::Pause, Stage::Replicas, Stage::Child] {
        ends(stage).into_iter().for_each(|it| shutdown.handle(Uptime(1000), it, &mut Vec::new()));
    }
    shutdown.handle(Uptime(1000), Event::SaveFailed, &mut Vec::new());
    assert_eq!(name(&shutdown), "clients");
}

#[test]
fn a_snapshot_that_gets_on_is_waited_for() {
    let mut shutdown = one_in("save", request());
    let mut actions = Vec::new();
    let late = |actions: &[Action]| {
        let is_late = |it: &&Action| matches!(it, Action::Log(Line { edge: Edge::Late, .. }));
        actions.iter().filter(is_late).count()
    };
    for second in 2..600 {
        shutdown.handle(Uptime(1000 * second), Event::Progress(second), &mut actions);
        shutdown.handle(Uptime(1000 * second), Event::Tick, &mut actions);
        assert!(actions.contains(&Action::Extend(STALL_MS + TOTAL_MS * 18 / 100)));
        assert_eq!(late(&actions), usize::from(TOTAL_MS * 82 / 100 + 1000 <= 1000 * second));
        assert_eq!(name(&shutdown), "save");
    }
    assert_eq!(shutdown.deadline(), Some(Uptime(599_000 + STALL_MS)));
    shutdown.handle(Uptime(700_000), Event::Tick, &mut actions);
    assert!(actions.contains(&Action::CancelSave));
    assert_eq!(name(&shutdown), "serving");
}

#[test]
fn without_a_snapshot_and_replicas_their_stages_are_short() {
    let mut shutdown = one_in("pause", Request { saves: false, now: true, ..request() });
    let mut actions = Vec::new();
    for event in ends(Stage::Pause) {
        shutdown.handle(Uptime(1000), event, &mut actions);
    }
    assert_eq!(name(&shutdown), "child");
    shutdown.handle(Uptime(1000), Event::ChildGone, &mut actions);
    assert_eq!(name(&shutdown), "clients");
    assert!(!actions.contains(&Action::Save) && !actions.contains(&Action::AwaitReplicas));
    // NOW also ends a wait that has begun.
    let mut shutdown = one_in("replicas", request());
    let hurry = Request { now: true, ..request() };
    shutdown.handle(Uptime(1000), Event::Asked(hurry), &mut actions);
    assert_eq!(name(&shutdown), "child");
}

/// One end of the world outside: how long everything takes, and what goes wrong.
struct World {
    random: Random,
    now: u64,
    shutdown: Shutdown,
    actions: Vec<Action>,
    /// What will happen, and when.
    coming: Vec<(u64, Event)>,
    /// When the snapshot last wrote a key, and when it was begun.
    saving: Option<u64>,
    request: Request,
    aborts: bool,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let [forced, hands_over, safe] = [3, 2, 3].map(|one_in| random.below(one_in) == 0);
        let linger_ms = random.below(5000);
        let request = Request { forced, hands_over, safe, linger_ms, ..request() };
        let aborts = random.below(4) == 0;
        let shutdown = Shutdown::new(SHARDS);
        let (now, coming) = (random.below(1 << 40), Vec::new());
        Self { random, now, shutdown, actions: Vec::new(), coming, saving: None, request, aborts }
    }

    /// A delay: none, short, longer than any budget, or for ever.
    fn delay(&mut self) -> Option<u64> {
        match self.random.below(10) {
            0..4 => Some(self.random.below(3)),
            4..8 => Some(self.random.below(TOTAL_MS / 10)),
            8 => Some(self.random.below(3 * TOTAL_MS)),
            _ => None,
        }
    }

    fn comes(&mut self, event: Event) {
        if let Some(delay) = self.delay() {
            self.coming.push((self.now + delay, event));
        }
    }

    fn handle(&mut self, event: Event) {
        let mut actions = Vec::new();
        self.shutdown.handle(Uptime(self.now), event, &mut actions);
        for action in &actions {
            self.act(*action);
        }
        self.actions.append(&mut actions);
    }

    /// Lets the world answer to an action.
    fn act(&mut self, action: Action) {
        let attempt = self.shutdown.attempt();
        let report = |stage, done| Report { attempt, stage, done, counts: Counts::default() };
        match action {
            Action::Order(stage) => {
                for shard in 0..SHARDS {
                    self.handle_later(Event::Reported(shard, report(stage, false)));
                    self.comes(Event::Reported(shard, report(stage, true)));
                }
            }
            Action::Close(Resource::Clients) => {
                let done = report(Stage::Clients, true);
                (0..SHARDS).for_each(|shard| self.comes(Event::Reported(shard, done)));
            }
            Action::Close(Resource::Shards) => {
                let done = report(Stage::Shards, true);
                (0..SHARDS).for_each(|shard| self.comes(Event::Reported(shard, done)));
            }
            Action::Close(Resource::Replicas) => self.comes(Event::ReplicasClosed),
            Action::Close(Resource::Child) => self.comes(Event::ChildGone),
            Action::AwaitReplicas => self.comes(Event::ReplicasReady),
            Action::HandOver(_) => {
                let fails = self.random.below(3) == 0;
                self.comes(if fails { Event::NoSuccessor } else { Event::HandedOver });
            }
            Action::Save => self.save(),
            Action::Log(_)
            | Action::Close(_)
            | Action::CancelSave
            | Action::Extend(_)
            | Action::Resume
            | Action::Exit => {}
        }
    }

    fn handle_later(&mut self, event: Event) {
        self.coming.push((self.now, event));
    }

    /// A snapshot that is quick, slow, stalls, or fails.
    fn save(&mut self) {
        let mut at = self.now;
        for keys in 1..=self.random.below(20) {
            at += self.random.below(STALL_MS * 2 / 3);
            self.coming.push((at, Event::Progress(keys)));
        }
        self.saving = Some(at);
        let end = match self.random.below(4) {
            0 => Event::SaveFailed,
            _ => Event::Saved,
        };
        if let Some(delay) = self.delay() {
            self.coming.push((at + delay, end));
        }
    }

    /// Lets time pass until it is over or called off. What was done, in order.
    fn run(mut self) -> (Vec<Action>, u64, &'static str) {
        let began = self.now;
        self.handle(Event::Asked(self.request));
        if self.aborts {
            let at = self.now + self.random.below(TOTAL_MS);
            self.coming.push((at, Event::Aborted));
        }
        while let Some(deadline) = self.shutdown.deadline() {
            self.coming.sort_by_key(|(at, _)| *at);
            // A tick comes late by some milliseconds, as in the loop that drives it.
            let tick = deadline.0.max(self.now) + self.random.below(3);
            match self.coming.first().copied() {
                Some((at, event)) if at <= tick => {
                    self.coming.remove(0);
                    self.now = self.now.max(at);
                    self.handle(event);
                }
                _ => {
                    self.now = tick;
                    self.handle(Event::Tick);
                }
            }
        }
        // What the last snapshot took beyond its budget is its own.
        let more = self
            .saving
            .map_or(0, |wrote| (wrote + STALL_MS).saturating_sub(began + TOTAL_MS * 82 / 100));
        assert!(self.now - began <= TOTAL_MS + more + 3 * 12, "{} of {more}", self.now - began);
        (self.actions, self.now - began, name(&self.shutdown))
    }
}

#[test]
fn ten_thousand_ends_with_delays_and_failures_end_in_order_and_in_time() {
    let seeds = match std::env::var("SEED") {
        Ok(seed) => {
            let seed: u64 = seed.parse().expect("SEED is a number");
            seed..seed + 1
        }
        Err(_) => 0..10_000,
    };
    let (mut over, mut in_time) = (0, 0);
    for seed in seeds {
        let outcome = std::panic::catch_unwind(|| World::new(seed).run());
        let (actions, took, state) =
            outcome.unwrap_or_else(|_| panic!("SEED={seed} repeats what failed"));
        check(seed, &actions, state);
        over += u32::from(state == "over");
        in_time += u32::from(took <= TOTAL_MS);
    }
    println!("{over} ended, {in_time} within the time for all stages");
}

/// Stages are entered in their order, each left before the next, and the process ends once or
/// goes on once.
fn check(seed: u64, actions: &[Action], state: &str) {
    let mut open: Option<Stage> = None;
    let mut last: Option<Stage> = None;
    let mut closed = Vec::new();
    let mut ends = Vec::new();
    for action in actions {
        match action {
            Action::Log(Line { edge: Edge::Enter, stage, .. }) => {
                assert!(open.is_none() && last < Some(*stage), "SEED={seed}: {stage:?}");
                open = Some(*stage);
            }
            Action::Log(Line { edge: Edge::Leave(_), stage, .. }) => {
                assert_eq!(open.take(), Some(*stage), "SEED={seed}");
                last = Some(*stage);
            }
            Action::Close(resource) => closed.push(*resource),
            Action::Exit | Action::Resume => ends.push(*action),
            Action::Log(_)
            | Action::Order(_)
            | Action::HandOver(_)
            | Action::AwaitReplicas
            | Action::Save
            | Action::CancelSave
            | Action::Extend(_) => assert!(open.is_some(), "SEED={seed}: {action:?}"),
        }
    }
    assert!(open.is_none(), "SEED={seed}");
    let end = if state == "over" { Action::Exit } else { Action::Resume };
    assert_eq!(ends, [end], "SEED={seed}");
    let order = resources::order();
    assert!(order.starts_with(&closed), "SEED={seed}: {closed:?}");
    if state == "over" {
        assert_eq!(last, Some(Stage::Shards), "SEED={seed}");
        let by_stages = resources::RESOURCES.iter().filter(|entry| entry.stage.is_some());
        assert_eq!(closed.len(), by_stages.count(), "SEED={seed}: {closed:?}");
    }
}
