//! Clients come and go, and are looked after at the end of a turn: what is sent, what is read, and
//! whether the connection is through.

use hashbrown::HashMap;

use crate::clients::client::{Client, Life, State};
use crate::clients::leaving::Leaving;
use crate::clients::line::line_for_log;
use crate::clients::totals::Counted;
use crate::log;
use crate::mail::to_control::ToControl;
use crate::mail::to_shard::ToShard;
use crate::reactor::ring::Token;
use crate::shard::core::{Core, SocketRequest};
use crate::shard::spare;
use crate::transactions::multi::Watch;

/// What the loop is to send.
#[derive(Debug)]
pub struct Sending {
    /// To which client.
    pub token: Token,
    /// What.
    pub bytes: Vec<u8>,
}

impl Core {
    /// Takes a client in.
    pub fn add_client(&mut self, client: Box<Client>) {
        self.counters.clients_opened += 1;
        self.put_client(client);
    }

    /// Removes a client; its socket is closed by the loop. If a batch of it is under way it goes
    /// when that is home: when a client is none any more, nothing of it runs.
    pub fn remove_client(&mut self, token: Token) {
        self.dismiss_client(token, |_| SocketRequest::Close(token));
    }

    /// Likewise, but its socket is closed when it has all that was sent to it.
    pub(crate) fn finish_client(&mut self, token: Token) {
        self.dismiss_client(token, |_| SocketRequest::Finish(token));
    }

    /// Likewise, but its socket leaves the shard for the stream that the client has asked for, if
    /// it has all its replies. Returns whether it has.
    fn let_client_go(&mut self, token: Token) -> bool {
        let Some(mut client) = self.take_client(token) else { return false };
        // What it is sent unasked would keep it here.
        self.end_ties(&mut client);
        let asked = if client.unsent() == 0 { client.asked.take() } else { None };
        self.put_client(client);
        let Some(errand) = asked else { return false };
        self.dismiss_client(token, |client| {
            SocketRequest::LetGo(token, Box::new(Leaving::of(*client, *errand)))
        });
        true
    }

    /// The one door through which clients go.
    fn dismiss_client(&mut self, token: Token, request: impl FnOnce(Box<Client>) -> SocketRequest) {
        let Some(mut client) = self.take_client(token) else { return };
        self.client_totals.count(&mut client, Counted::default());
        self.abandon(&mut client);
        self.end_ties(&mut client);
        if client.state == State::Away {
            client.lose();
            client.end();
            return self.put_client(client);
        }
        self.counters.clients_closed += 1;
        self.mailbox.own_board().closed.set(self.counters.clients_closed);
        self.socket_requests.push(request(client));
    }

    /// Ends what a client watches, listens to and is told of.
    fn end_ties(&mut self, client: &mut Client) {
        self.forget_watches(client);
        let mut changes = Vec::new();
        self.end_subscriptions(client, &mut changes);
        self.announce(changes, client.token, None);
    }

    /// The peer of a client sends no more.
    pub fn input_ended(&mut self, token: Token) {
        self.set_life(token, Life::InputEnded);
    }

    /// The peer of a client whose socket is not read sends no more than what lies there.
    pub fn hung_up(&mut self, token: Token) {
        self.set_life(token, Life::HungUp);
    }

    /// A client can be given nothing any more. What it had sent before is done all the same.
    pub fn lost(&mut self, token: Token) {
        let Some(client) = self.clients.get(token) else { return };
        match client.state {
            State::Blocked(_) | State::Held(_) => self.remove_client(token),
            State::Kept => {
                self.give_up_kept(token);
                self.remove_client(token);
            }
            State::Home | State::Away => {
                client.lose();
                self.clients.mark_dirty_at(token);
            }
        }
    }

    fn set_life(&mut self, token: Token, life: Life) {
        let Some(mut client) = self.take_client(token) else { return };
        if client.life < life {
            client.life = life;
            match client.state {
                State::Blocked(_) | State::Held(_) => {
                    self.abandon(&mut client);
                    client.end();
                }
                State::Kept => self.give_up_kept(token),
                State::Home | State::Away => {}
            }
        }
        self.clients.mark_dirty(&mut client);
        self.put_client(client);
    }

    /// Has control end the wait of a client whose request it keeps. What is about to end by itself
    /// goes on: then the client is answered first.
    fn give_up_kept(&mut self, token: Token) {
        self.mailbox.tell_control(ToControl::GiveUp(self.me(), token));
    }

    /// Ends what a client waits for: it will not take it any more.
    fn abandon(&mut self, client: &mut Client) {
        match client.state {
            State::Home | State::Away | State::Kept => return,
            State::Blocked(id) => self.give_up_wait(id),
            State::Held(number) => self.drop_held(number),
        }
        client.state = State::Home;
    }

    /// Whether a client of this shard may wait from now on. One that may not is given what it was
    /// answered before, and closed.
    pub(crate) fn may_wait(&mut self, token: Token, replies: &mut Vec<u8>) -> bool {
        let Some(mut client) = self.take_client(token) else { return false };
        let may_wait = self.lets_wait(&mut client, replies);
        self.put_client(client);
        may_wait
    }

    /// The same for a client that is being worked on.
    pub(crate) fn lets_wait(&mut self, client: &mut Client, replies: &mut Vec<u8>) -> bool {
        let may_wait = client.may_wait();
        if !may_wait {
            client.state = State::Home;
            client.end();
            self.give_replies(client, replies);
        }
        may_wait
    }

    /// Closes the client as soon as it has what is written for it, and what is under way is done.
    pub(crate) fn close_soon(&mut self, token: Token) {
        let Some(client) = self.clients.get(token) else { return };
        match client.state {
            State::Home | State::Blocked(_) | State::Held(_) => self.remove_client(token),
            // It may be the one that asks for this: it is given its reply first.
            State::Away => client.end(),
            State::Kept => {
                client.end();
                self.give_up_kept(token);
            }
        }
    }

    /// Gives a client replies of its batch, and the messages that waited behind them.
    pub(crate) fn give_replies(&mut self, client: &mut Client, replies: &mut Vec<u8>) {
        // Small buffers stay where they are used again.
        if client.out.is_empty() && spare::BYTES_MAX < replies.len() {
            std::mem::swap(&mut client.out, replies);
        } else {
            client.out.append(replies);
        }
        let Client { out, pushes, .. } = &mut *client;
        out.append(&mut pushes.held);
        out.extend(pushes.stale.drain(..).skip(std::mem::take(&mut pushes.stale_told)));
        self.clients.mark_dirty(client);
    }

    /// All bytes of a client's last replies are its system's.
    pub fn sent(&mut self, token: Token, buffer: Vec<u8>) {
        self.counters.bytes_out += buffer.len() as u64;
        self.counters.writes += 1;
        if let Some(client) = self.clients.get(token) {
            client.figures.bytes_out += buffer.len() as u64;
            (client.sending, client.sending_room) = (0, 0);
            if !client.out.is_empty() || !client.is_calm(self.calm_bytes) {
                self.clients.mark_dirty_at(token);
            }
        }
        self.keep_buffer(buffer);
    }

    /// Looks after every client of which something has changed in this turn. True if there is
    /// something to do at once.
    pub fn look_after_clients(&mut self, send: &mut Vec<Sending>) -> bool {
        let mut urgent = false;
        let mut at = 0;
        self.clients.end_late_holding(self.node.now);
        while let Some(&token) = self.clients.dirty.get(at) {
            at += 1;
            let calm_bytes = self.calm_bytes;
            match self.clients.get(token) {
                Some(client) if client.state == State::Home && client.is_calm(calm_bytes) => {
                    client.held_since = None;
                    client.dirty = false;
                    begin_to_send(client, send);
                }
                Some(_) => urgent |= self.look_after(token, send),
                None => {}
            }
        }
        self.clients.dirty.clear();
        self.limit_client_memory();
        urgent
    }

    /// Looks after one client: cuts it, sends to it, reads from it, or lets it go.
    fn look_after(&mut self, token: Token, send: &mut Vec<Sending>) -> bool {
        let now = self.node.now;
        let Some(client) = self.clients.get(token) else { return false };
        client.dirty = false;
        if !self.count_client(token) {
            return false;
        }
        let config = &self.node.config;
        let Some(client) = self.clients.get(token) else { return false };
        if !client.takes_replies() {
            client.drop_output();
        }
        if !client.is_ending() && client.exceeds_query_limit(config) {
            self.counters.query_limit_cuts += 1;
            let line = self.line_of(token);
            log::warning(&format!("Closing client that reached max query buffer length: {line}"));
            self.remove_client(token);
            return false;
        }
        if !client.within_output_limits(config, now) {
            self.cut_for_output(token);
            return false;
        }
        let is_ready = client.sending == 0 && !client.out.is_empty();
        if is_ready && !self.clients.holds_replies(token, now) {
            let Some(client) = self.clients.get(token) else { return false };
            client.held_since = None;
            begin_to_send(client, send);
        }
        let Some(client) = self.clients.get(token) else { return false };
        let leaves = client.life == Life::Leaving && client.state == State::Home;
        if leaves && self.let_client_go(token) {
            return false;
        }
        let config = &self.node.config;
        let Some(client) = self.clients.get(token) else { return false };
        let may_run = client.may_run(config) && !client.listed && !client.query.is_empty();
        if may_run && client.awaited == 0 {
            self.clients.list_at(token);
            return true;
        }
        if client.is_through() {
            self.remove_client(token);
            return false;
        }
        let wants_input = client.wants_input(config);
        if std::mem::replace(&mut client.is_read, wants_input) != wants_input {
            let request = if wants_input { SocketRequest::Resume } else { SocketRequest::Pause };
            self.socket_requests.push(request(token));
        }
        // What waits for these replies to be gone must not wait for a next event.
        self.clients.get(token).is_some_and(|client| client.waits_for_replies())
    }

    /// Cuts a client for which too much waits.
    #[cold]
    pub(crate) fn cut_for_output(&mut self, token: Token) {
        self.counters.output_limit_cuts += 1;
        let line = self.line_of(token);
        log::warning(&format!(
            "Client {line} scheduled to be closed ASAP for overcoming of output buffer limits."
        ));
        self.remove_client(token);
    }

    pub(crate) fn line_of(&self, token: Token) -> String {
        self.clients.peek(token).map_or_else(String::new, |client| line_for_log(client, &self.node))
    }

    /// Ends a client's watches, wherever their keys live.
    pub(crate) fn forget_watches(&mut self, client: &mut Client) {
        let watched = std::mem::take(&mut client.watched);
        self.forget_watch_list(watched);
    }

    /// Ends watches.
    pub(crate) fn forget_watch_list(&mut self, watched: Vec<Watch>) {
        let mut by_owner: HashMap<u16, Vec<(usize, u64)>> = HashMap::new();
        for watch in watched {
            let owner = self.node.slots.owner(watch.hash);
            by_owner.entry(owner).or_default().push((watch.db, watch.hash));
        }
        for (owner, keys) in by_owner {
            if owner == self.shard_number() {
                self.unwatch(&keys);
            } else {
                self.mailbox.send(owner.into(), ToShard::Unwatch(keys));
            }
        }
    }

    pub(crate) fn unwatch(&mut self, keys: &[(usize, u64)]) {
        for &(db, hash) in keys {
            self.shard.keyspace.watches.unwatch(db, hash);
        }
    }
}

/// Has a client's replies sent, unless others are on their way.
#[inline]
fn begin_to_send(client: &mut Client, send: &mut Vec<Sending>) {
    if client.sending == 0 && !client.out.is_empty() {
        let bytes = std::mem::take(&mut client.out);
        (client.sending, client.sending_room) = (bytes.len(), bytes.capacity());
        send.push(Sending { token: client.token, bytes });
    }
}
