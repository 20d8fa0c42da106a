//! Clients with roles: writers that keep a law among keys, and readers that look whether it holds.

use std::io;

use shards::base::random::Random;

use crate::client::{Client, Reply};
use crate::history::{Words, brief};
use crate::sights::{self, Law, Manner, Place, Sight, Written};
use crate::workload::{Board, Clock, at_once, connect, encoded, list, spread_keys, words};

/// Keys in each group: one on each of four shards.
const KEYS: usize = 4;
/// How often a pipeline of GETs looks at all of them.
const LOOKS: usize = 3;
/// What all accounts hold together.
const MONEY: i64 = 1000;

/// Who does what. Each line is a client.
const ROLES: &[Role] = &[
    Role::Together { group: 0, in_exec: false },
    Role::Together { group: 1, in_exec: true },
    Role::Alone { group: 2, places: [0, 1] },
    Role::Alone { group: 2, places: [2, 3] },
    Role::InPipelines { group: 3 },
    Role::Rename,
    Role::AllOrNothing,
    Role::Transfer,
    Role::Transfer,
    Role::Swap,
    Role::Flush,
    Role::Look,
    Role::Look,
    Role::Look,
    Role::Look,
    Role::LookAtDatabases,
    Role::LookAtDatabases,
];

/// The groups of growing numbers that roles name.
const GROUPS: [(&str, Law); 4] =
    [("mset", Law::Equal), ("exec", Law::Equal), ("free", Law::Free), ("pipe", Law::Descending)];

/// Databases whose contents are swapped, and one that is filled and flushed.
const SWAPPED: [usize; 2] = [1, 2];
const FLUSHED: usize = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// Writes all keys of a group at once, by MSET or a transaction.
    Together { group: usize, in_exec: bool },
    /// Writes two keys of a group, one command at a time.
    Alone { group: usize, places: [usize; 2] },
    /// Writes the keys of a group in their order, many in one write.
    InPipelines { group: usize },
    /// Renames a key to and fro.
    Rename,
    /// Creates a group by MSETNX, deletes it by DEL; copies and combines some of it.
    AllOrNothing,
    /// Moves money between accounts.
    Transfer,
    /// Swaps databases.
    Swap,
    /// Fills a database and flushes it.
    Flush,
    /// Looks at everything in the first database.
    Look,
    /// Looks at the databases that are swapped and flushed.
    LookAtDatabases,
}

/// The servers of a round: one and the same, or a primary and its replica.
#[derive(Clone, Copy, Debug)]
pub struct Sides<'a> {
    /// Where is written.
    pub writers: &'a str,
    /// Where readers look.
    pub readers: &'a str,
}

impl Sides<'_> {
    fn place(self) -> Place {
        if self.writers == self.readers { Place::Primary } else { Place::Replica }
    }
}

/// Runs a round on servers that hold what [`prepare`] leaves. Gives how many looks there were.
pub fn run(sides: Sides<'_>, seed: u64, acts: usize) -> Result<usize, String> {
    let clock = Clock::start();
    let board = Board::new(ROLES.len());
    let ends = at_once(ROLES.len(), |number| {
        let player = Player::new(sides, seed, number, clock);
        let played = player.and_then(|player| player.play_all(acts, &board));
        played.map_err(|error| board.failure(number, &error))
    });
    let notes = ends.into_iter().collect::<Result<Vec<Notes>, String>>()?;
    let mut looks = 0;
    for (group, &(name, law)) in GROUPS.iter().enumerate() {
        let of_group =
            |notes: &Notes| notes.written.iter().filter(|w| w.0 == group).map(|w| w.1).collect();
        let written: Vec<Written> = notes.iter().flat_map::<Vec<_>, _>(of_group).collect();
        let seen = notes.iter().flat_map(|notes| &notes.sights);
        let sights: Vec<Sight> = seen.filter(|s| s.0 == group).map(|s| s.1.clone()).collect();
        looks += sights.len();
        sights::check(sides.place(), law, &written, &sights)
            .map_err(|text| format!("group {name}: {text}"))?;
    }
    Ok(looks)
}

/// Gives an empty server what roles count on.
pub fn prepare(address: &str) -> io::Result<()> {
    for (db, mark) in SWAPPED.into_iter().zip(["one", "other"]) {
        let pairs = spread_keys("swap", KEYS).into_iter().flat_map(|key| [key, mark.to_string()]);
        let pairs: Vec<String> = pairs.collect();
        connect(address, db)?.call(&list("MSET", &pairs))?;
    }
    let mut client = connect(address, 0)?;
    client.call(&["SET", &spread_keys("name", 2)[0], "here"])?;
    let each = MONEY / i64::try_from(KEYS).expect("few");
    for account in spread_keys("account", KEYS) {
        client.call(&["SET", &account, &each.to_string()])?;
    }
    Ok(())
}

#[derive(Debug, Default)]
struct Notes {
    written: Vec<(usize, Written)>,
    sights: Vec<(usize, Sight)>,
}

struct Player {
    role: Role,
    number: usize,
    client: Client,
    random: Random,
    clock: Clock,
    notes: Notes,
    /// The last number written.
    last: u64,
    doing: String,
}

impl Player {
    fn new(sides: Sides<'_>, seed: u64, number: usize, clock: Clock) -> io::Result<Self> {
        let stream = u64::try_from(number).expect("few") + 1;
        let role = ROLES[number];
        let db = match role {
            Role::LookAtDatabases => SWAPPED[0],
            Role::Flush => FLUSHED,
            _ => 0,
        };
        let address = match role {
            Role::Look | Role::LookAtDatabases => sides.readers,
            _ => sides.writers,
        };
        Ok(Self {
            role,
            number,
            client: connect(address, db)?,
            random: Random::new(seed ^ stream.wrapping_mul(0x9E6C_63D0_876A_3F6B)),
            clock,
            notes: Notes::default(),
            last: 0,
            doing: String::new(),
        })
    }

    fn play_all(mut self, acts: usize, board: &Board) -> io::Result<Notes> {
        for act in 0..acts {
            if !board
                .write(self.number, format!("{:?}, act {act}, after {}", self.role, self.doing))
            {
                break;
            }
            self.play()?;
        }
        board.write(self.number, "is done".into());
        Ok(self.notes)
    }

    fn play(&mut self) -> io::Result<()> {
        match self.role {
            Role::Together { group, in_exec } => self.write_together(group, in_exec),
            Role::Alone { group, places } => {
                self.last += 1;
                places.into_iter().try_for_each(|place| self.write_alone(group, place))
            }
            Role::InPipelines { group } => self.write_in_pipeline(group),
            Role::Rename => self.rename(),
            Role::AllOrNothing => self.create_and_delete(),
            Role::Transfer => self.transfer(),
            Role::Swap => self.expect(&["SWAPDB", "1", "2"], "+OK"),
            Role::Flush => {
                let pairs = spread_keys("full", KEYS).into_iter().flat_map(|key| [key, "1".into()]);
                let pairs: Vec<String> = pairs.collect();
                self.call(&list("MSET", &pairs))?;
                self.expect(&["FLUSHDB"], "+OK")
            }
            Role::Look => match self.below(8) {
                0..5 => self.look_at_numbers(),
                5 => self.look_at_names(),
                6 => self.look_at_all_or_nothing(),
                _ => self.look_at_accounts(),
            },
            Role::LookAtDatabases => self.look_at_databases(),
        }
    }

    fn below(&mut self, limit: u64) -> usize {
        usize::try_from(self.random.below(limit)).expect("small")
    }

    fn call(&mut self, words: &Words) -> io::Result<Reply> {
        self.doing = words.join(" ");
        let reply = self.client.call(words)?;
        if let Reply::Error(text) = &reply {
            let text = String::from_utf8_lossy(text);
            return Err(io::Error::other(format!("{} gave {text}", words.join(" "))));
        }
        Ok(reply)
    }

    fn expect(&mut self, command: &[&str], expected: &str) -> io::Result<()> {
        let reply = brief(&self.call(&words(command))?);
        self.must(reply == expected, &format!("{} gave {reply}", command.join(" ")))
    }

    fn must(&self, holds: bool, otherwise: &str) -> io::Result<()> {
        if holds { Ok(()) } else { Err(io::Error::other(otherwise.to_string())) }
    }

    /// Runs commands in a transaction, one step at a time or in one write. `None` if a watched
    /// key was changed.
    fn exec(&mut self, unit: &[Words]) -> io::Result<Option<Vec<Reply>>> {
        self.doing = format!("MULTI {unit:?}");
        let mut commands = vec![words(&["MULTI"])];
        commands.extend(unit.iter().cloned());
        commands.push(words(&["EXEC"]));
        if self.below(2) == 0 {
            self.client.send_raw(&encoded(&commands))?;
            for _ in 1..commands.len() {
                self.client.receive()?;
            }
        } else {
            for command in &commands[..=unit.len()] {
                self.client.call(command)?;
            }
            self.client.send(&["EXEC"])?;
        }
        match self.client.receive()? {
            Reply::Group('*', replies) => Ok(Some(replies)),
            Reply::NullArray => Ok(None),
            other => Err(io::Error::other(format!("EXEC of {unit:?} gave {}", brief(&other)))),
        }
    }

    fn write_together(&mut self, group: usize, in_exec: bool) -> io::Result<()> {
        self.last += 1;
        let (number, keys) = (self.last, spread_keys(GROUPS[group].0, KEYS));
        let called = self.clock.now();
        if in_exec {
            let set = |key: &String| words(&["SET", key, &number.to_string()]);
            let unit: Vec<Words> = keys.iter().map(set).collect();
            let replies = self.exec(&unit)?;
            self.must(replies.is_some(), "EXEC was refused although nothing was watched")?;
        } else {
            let pairs = keys.into_iter().flat_map(|key| [key, number.to_string()]);
            let pairs: Vec<String> = pairs.collect();
            self.call(&list("MSET", &pairs))?;
        }
        let returned = self.clock.now();
        for place in 0..KEYS {
            self.notes.written.push((group, Written { place, number, called, returned }));
        }
        Ok(())
    }

    fn write_alone(&mut self, group: usize, place: usize) -> io::Result<()> {
        let (number, called) = (self.last, self.clock.now());
        let key = &spread_keys(GROUPS[group].0, KEYS)[place];
        self.call(&words(&["SET", key, &number.to_string()]))?;
        let returned = self.clock.now();
        self.notes.written.push((group, Written { place, number, called, returned }));
        Ok(())
    }

    fn write_in_pipeline(&mut self, group: usize) -> io::Result<()> {
        let keys = spread_keys(GROUPS[group].0, KEYS);
        let rounds = 1 + self.random.below(8);
        let numbers = self.last + 1..=self.last + rounds;
        let mut commands = Vec::new();
        for number in numbers.clone() {
            // Now and then several at once, in the midst of the others.
            let text = number.to_string();
            if self.below(4) == 0 {
                commands.push(words(&["MSET", &keys[0], &text, &keys[1], &text]));
            } else {
                commands.push(words(&["SET", &keys[0], &text]));
                commands.push(words(&["SET", &keys[1], &text]));
            }
            commands.push(words(&["SET", &keys[2], &text]));
            commands.push(words(&["SET", &keys[3], &text]));
        }
        self.doing = format!("{commands:?}");
        let called = self.clock.now();
        self.client.send_raw(&encoded(&commands))?;
        for command in &commands {
            let reply = self.client.receive()?;
            self.must(reply == Reply::Simple(b"OK".to_vec()), &brief(&reply))?;
            let returned = self.clock.now();
            for pair in command[1..].chunks_exact(2) {
                let place = keys.iter().position(|key| *key == pair[0]).expect("of the group");
                let number = pair[1].parse().expect("it was a number");
                self.notes.written.push((group, Written { place, number, called, returned }));
            }
        }
        self.last += rounds;
        Ok(())
    }

    fn rename(&mut self) -> io::Result<()> {
        let names = spread_keys("name", 2);
        self.expect(&["RENAME", &names[0], &names[1]], "+OK")?;
        self.expect(&["RENAMENX", &names[1], &names[0]], ":1")
    }

    fn create_and_delete(&mut self) -> io::Result<()> {
        let keys = spread_keys("all", KEYS);
        let pairs: Vec<String> =
            keys.iter().flat_map(|key| [key.clone(), "x".to_string()]).collect();
        let created = self.call(&list("MSETNX", &pairs))?;
        self.must(created == Reply::Integer(1), "MSETNX found keys that were deleted")?;
        let again = self.call(&list("MSETNX", &pairs))?;
        self.must(again == Reply::Integer(0), "MSETNX found nothing although keys are there")?;
        let copy = &spread_keys("copy", 2)[self.below(2)].clone();
        self.expect(&["COPY", &keys[0], copy, "REPLACE"], ":1")?;
        self.expect(&["BITOP", "AND", copy, &keys[1], &keys[2], &keys[3]], ":1")?;
        self.expect(&["GET", copy], "x")?;
        let name = if self.below(2) == 0 { "DEL" } else { "UNLINK" };
        let deleted = self.call(&list(name, &keys))?;
        self.must(deleted == Reply::Integer(4), "DEL did not find all keys")
    }

    fn transfer(&mut self) -> io::Result<()> {
        let accounts = spread_keys("account", KEYS);
        let from = self.below(4);
        let to = (from + 1 + self.below(3)) % KEYS;
        let (from, to) = (&accounts[from], &accounts[to]);
        self.call(&words(&["WATCH", from, to]))?;
        let held = self.call(&words(&["GET", from]))?;
        let gets = self.call(&words(&["GET", to]))?;
        let (held, gets) = (amount(&held)?, amount(&gets)?);
        let sum = i64::try_from(self.below(50)).expect("below 50");
        if held < sum {
            return self.expect(&["UNWATCH"], "+OK");
        }
        // Without WATCH these would undo what others did meanwhile.
        let (held, gets) = ((held - sum).to_string(), (gets + sum).to_string());
        self.exec(&[words(&["SET", from, &held]), words(&["SET", to, &gets])])?;
        Ok(())
    }

    fn look_at_numbers(&mut self) -> io::Result<()> {
        let group = self.below(4);
        let keys = spread_keys(GROUPS[group].0, KEYS);
        let gets = || keys.iter().rev().map(|key| words(&["GET", key]));
        let called = self.clock.now();
        let (manner, mut replies) = match self.below(5) {
            0 | 1 => (Manner::AtOnce, members(self.call(&list("MGET", &keys))?)?),
            2 => {
                let replies = self.exec(&gets().rev().collect::<Vec<_>>())?;
                (Manner::AtOnce, replies.ok_or_else(|| io::Error::other("EXEC was refused"))?)
            }
            3 => {
                self.doing = "a pipeline of GETs".into();
                // Often enough from shard to shard that the server does them shard by shard.
                let lookups: Vec<Words> = (0..LOOKS).flat_map(|_| gets()).collect();
                self.client.send_raw(&encoded(&lookups))?;
                let replies = (0..LOOKS * KEYS).map(|_| self.client.receive());
                (Manner::Backwards, replies.collect::<io::Result<_>>()?)
            }
            _ => {
                let gets: Vec<Words> = gets().collect();
                let replies = gets.iter().map(|get| self.call(get));
                (Manner::Backwards, replies.collect::<io::Result<_>>()?)
            }
        };
        let returned = self.clock.now();
        for replies in replies.chunks_mut(KEYS) {
            if manner == Manner::Backwards {
                replies.reverse();
            }
            let number = |reply: &Reply| Ok(amount(reply)?.unsigned_abs());
            let numbers = replies.iter().map(number).collect::<io::Result<_>>()?;
            let sight = Sight { reader: self.number, manner, called, returned, numbers };
            self.notes.sights.push((group, sight));
        }
        Ok(())
    }

    fn look_at_names(&mut self) -> io::Result<()> {
        let mut names = spread_keys("name", 2);
        if self.below(2) == 0 {
            names.reverse();
        }
        if self.below(2) == 0 {
            return self.expect(&["EXISTS", &names[0], &names[1]], ":1");
        }
        let seen = brief(&self.call(&list("MGET", &names))?);
        self.must(seen == "[here $nil]" || seen == "[$nil here]", &format!("names: {seen}"))
    }

    fn look_at_all_or_nothing(&mut self) -> io::Result<()> {
        let keys = spread_keys("all", KEYS);
        if self.below(2) == 0 {
            let seen = self.call(&list("EXISTS", &keys))?;
            let whole = seen == Reply::Integer(0) || seen == Reply::Integer(4);
            return self.must(whole, &format!("EXISTS of all or nothing: {}", brief(&seen)));
        }
        let seen = brief(&self.call(&list("MGET", &keys))?);
        let whole = seen == "[x x x x]" || seen == "[$nil $nil $nil $nil]";
        self.must(whole, &format!("MGET of all or nothing: {seen}"))
    }

    fn look_at_accounts(&mut self) -> io::Result<()> {
        let accounts = spread_keys("account", KEYS);
        let replies = if self.below(2) == 0 {
            members(self.call(&list("MGET", &accounts))?)?
        } else {
            let gets: Vec<Words> = accounts.iter().map(|key| words(&["GET", key])).collect();
            self.exec(&gets)?.ok_or_else(|| io::Error::other("EXEC was refused"))?
        };
        let amounts = replies.iter().map(amount).collect::<io::Result<Vec<i64>>>()?;
        self.must(amounts.iter().sum::<i64>() == MONEY, &format!("accounts hold {amounts:?}"))
    }

    fn look_at_databases(&mut self) -> io::Result<()> {
        let of_swap = spread_keys("swap", KEYS);
        match self.below(4) {
            0 => self.expect(&["DBSIZE"], ":4"),
            1 => {
                let seen = self.exec(&[list("MGET", &of_swap), words(&["DBSIZE"])])?;
                let seen = seen.ok_or_else(|| io::Error::other("EXEC was refused"))?;
                self.must(is_one_database(&seen[0]), &brief(&seen[0]))?;
                self.must(seen[1] == Reply::Integer(4), &brief(&seen[1]))
            }
            2 => {
                let seen = self.call(&list("MGET", &of_swap))?;
                self.must(is_one_database(&seen), &format!("swapped: {}", brief(&seen)))
            }
            _ => {
                self.expect(&["SELECT", &FLUSHED.to_string()], "+OK")?;
                let full = spread_keys("full", KEYS);
                let seen = if self.below(2) == 0 {
                    self.call(&words(&["DBSIZE"]))?
                } else {
                    self.call(&list("EXISTS", &full))?
                };
                let whole = seen == Reply::Integer(0) || seen == Reply::Integer(4);
                self.must(whole, &format!("flushed: {}", brief(&seen)))?;
                self.expect(&["SELECT", &SWAPPED[0].to_string()], "+OK")
            }
        }
    }
}

fn is_one_database(seen: &Reply) -> bool {
    matches!(brief(seen).as_str(), "[one one one one]" | "[other other other other]")
}

fn members(reply: Reply) -> io::Result<Vec<Reply>> {
    match reply {
        Reply::Group(_, members) => Ok(members),
        other => Err(io::Error::other(format!("not an array: {}", brief(&other)))),
    }
}

/// The number that a key holds; 0 if there is no key.
fn amount(reply: &Reply) -> io::Result<i64> {
    match reply {
        Reply::NullBulk => Ok(0),
        Reply::Bulk(text) => {
            let number = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
            number.ok_or_else(|| io::Error::other(format!("not a number: {}", brief(reply))))
        }
        other => Err(io::Error::other(format!("not a number: {}", brief(other)))),
    }
}
