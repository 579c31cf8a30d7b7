//! A blocking client of PostgreSQL, over anything that reads and writes: the messages are those of `postgres-protocol` and
//! the values those of `postgres-types`, the crates below rust-postgres, which know no sockets. What is left is to send and
//! to receive, in plain code; in a coroutine it waits as a coroutine.
//!
//! `cargo run --example postgres -- 127.0.0.1:5432 USER PASSWORD` has 100 coroutines pay each other, a connection each, in
//! a table `accounts` that it makes, and adds up what there is in the end. With a path, such as
//! `/run/postgresql/.s.PGSQL.5432`, it does so over a Unix socket.
//! To start a server: `initdb -D data -U me && postgres -D data -p 5432 -k .` (as somebody who is not root).
//!
//! Protocol: <https://www.postgresql.org/docs/current/protocol.html>, version 3. Not here: TLS (wrap the stream, as the
//! example `tls` does), types that are not built in, COPY, notifications.

use std::error::Error as StdError;
use std::fmt;
use std::io::{self, Read, Write};
use std::sync::Arc;

use bytes::BytesMut;
use fallible_iterator::FallibleIterator;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use postgres_protocol::message::backend::{DataRowBody, ErrorResponseBody, Message};
use postgres_protocol::message::frontend;
use postgres_types::{FromSql, ToSql, Type};
use ropewalk::net::{TcpStream, UnixStream};
use ropewalk::{OnFailure, scope_with};

/// Values, in binary, in both directions (protocol, "Formats and Format Codes").
const BINARY: i16 = 1;

/// What goes wrong.
#[derive(Debug)]
pub enum Error {
    /// With the connection, or with what came over it.
    Io(io::Error),
    /// The server has refused; the connection goes on.
    Refused {
        /// One of PostgreSQL's five-letter codes (its manual, appendix A).
        code: String,
        /// What it says.
        message: String,
    },
    /// A value is not of the type that was asked for.
    Value(Box<dyn StdError + Send + Sync>),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "{error}"),
            Self::Refused { code, message } => write!(f, "{message} ({code})"),
            Self::Value(error) => write!(f, "{error}"),
        }
    }
}

impl StdError for Error {}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<&ErrorResponseBody> for Error {
    fn from(body: &ErrorResponseBody) -> Self {
        let (mut code, mut message) = (String::new(), String::new());
        let mut fields = body.fields();
        while let Ok(Some(field)) = fields.next() {
            let text = || String::from_utf8_lossy(field.value_bytes()).into_owned();
            match field.type_() {
                b'C' => code = text(),
                b'M' => message = text(),
                _ => {}
            }
        }
        Self::Refused { code, message }
    }
}

/// An error about what the other end says.
fn unexpected(what: &str) -> Error {
    Error::Io(io::Error::new(io::ErrorKind::InvalidData, what.to_owned()))
}

/// A statement that the server has prepared.
#[derive(Clone, Debug)]
pub struct Statement {
    name: String,
    parameters: Vec<Type>,
    columns: Arc<[Type]>,
}

/// A row of a result.
pub struct Row {
    columns: Arc<[Type]>,
    body: DataRowBody,
}

impl Row {
    /// The value of a column, counted from 0; NULL is for an `Option`.
    pub fn get<'a, T: FromSql<'a>>(&'a self, column: usize) -> Result<T, Error> {
        let range = self.body.ranges().nth(column)?.ok_or_else(|| unexpected("there is no such column"))?;
        let column = &self.columns[column];
        if !T::accepts(column) {
            return Err(Error::Value(format!("a column is of the type {column}").into()));
        }
        let value = range.map(|range| &self.body.buffer()[range]);
        T::from_sql_nullable(column, value).map_err(Error::Value)
    }
}

/// A connection.
pub struct Client<S> {
    stream: S,
    received: BytesMut,
    to_send: BytesMut,
    statements: usize,
    /// Whether an answer is under way. If it still is when the next question comes, somebody was cut off in the middle.
    asking: bool,
}

impl<S: Read + Write> Client<S> {
    /// Introduces itself to the server at the other end of `stream`.
    ///
    /// A password costs thousands of hashes, some milliseconds in which the coroutine does not wait: that is the point of
    /// SCRAM. A crowd that connects all the time should do so in `ropewalk::blocking`, or keep its connections.
    pub fn connect(stream: S, user: &str, database: &str, password: &str) -> Result<Self, Error> {
        let (received, to_send) = (BytesMut::new(), BytesMut::new());
        let mut client = Self { stream, received, to_send, statements: 0, asking: true };
        let parameters = [("user", user), ("database", database), ("client_encoding", "UTF8")];
        frontend::startup_message(parameters, &mut client.to_send)?;
        client.send()?;
        let mut scram = ScramSha256::new(password.as_bytes(), ChannelBinding::unsupported());
        loop {
            match client.receive()? {
                Message::AuthenticationOk | Message::BackendKeyData(_) => {}
                Message::AuthenticationCleartextPassword => {
                    frontend::password_message(password.as_bytes(), &mut client.to_send)?;
                    client.send()?;
                }
                Message::AuthenticationSasl(body) => {
                    if !body.mechanisms().any(|mechanism| Ok(mechanism == SCRAM_SHA_256))? {
                        return Err(unexpected("the server does not take SCRAM-SHA-256"));
                    }
                    frontend::sasl_initial_response(SCRAM_SHA_256, scram.message(), &mut client.to_send)?;
                    client.send()?;
                }
                Message::AuthenticationSaslContinue(body) => {
                    scram.update(body.data())?;
                    frontend::sasl_response(scram.message(), &mut client.to_send)?;
                    client.send()?;
                }
                Message::AuthenticationSaslFinal(body) => scram.finish(body.data())?,
                Message::ErrorResponse(body) => return Err(Error::from(&body)),
                Message::ReadyForQuery(_) => break,
                _ => {
                    return Err(unexpected(
                        "the server wants to know who is there in a way that is not here",
                    ));
                }
            }
        }
        client.asking = false;
        Ok(client)
    }

    /// Runs statements, separated by semicolons, without parameters and results (the simple query).
    pub fn batch_execute(&mut self, statements: &str) -> Result<(), Error> {
        self.ask(|out| Ok(frontend::query(statements, out)?))?;
        self.answers(|_| Ok(()))
    }

    /// Has the server prepare a statement, with `$1` and so on for what it is told later.
    pub fn prepare(&mut self, statement: &str) -> Result<Statement, Error> {
        self.statements += 1;
        let name = format!("s{}", self.statements);
        self.ask(|out| {
            frontend::parse(&name, statement, [], out)?;
            frontend::describe(b'S', &name, out)?;
            frontend::sync(out);
            Ok(())
        })?;
        let (mut parameters, mut columns) = (Vec::new(), Vec::new());
        let built_in = |oid| Type::from_oid(oid).ok_or_else(|| unexpected("a type is not built in"));
        self.answers(|message| {
            match message {
                Message::ParameterDescription(body) => {
                    let mut types = body.parameters();
                    while let Some(oid) = types.next()? {
                        parameters.push(built_in(oid)?);
                    }
                }
                Message::RowDescription(body) => {
                    let mut fields = body.fields();
                    while let Some(field) = fields.next()? {
                        columns.push(built_in(field.type_oid())?);
                    }
                }
                _ => {}
            }
            Ok(())
        })?;
        Ok(Statement { name, parameters, columns: columns.into() })
    }

    /// Runs a prepared statement (the extended query): what it returns.
    pub fn query(
        &mut self,
        statement: &Statement,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, Error> {
        self.run(statement, values)?;
        let mut rows = Vec::new();
        self.answers(|message| {
            if let Message::DataRow(body) = message {
                rows.push(Row { columns: statement.columns.clone(), body });
            }
            Ok(())
        })?;
        Ok(rows)
    }

    /// Runs a prepared statement: how many rows it has changed.
    pub fn execute(&mut self, statement: &Statement, values: &[&(dyn ToSql + Sync)]) -> Result<u64, Error> {
        self.run(statement, values)?;
        let mut changed = 0;
        self.answers(|message| {
            if let Message::CommandComplete(body) = message {
                // "UPDATE 3", "INSERT 0 3"; others have no number.
                changed = body.tag()?.rsplit(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0);
            }
            Ok(())
        })?;
        Ok(changed)
    }

    /// Runs `f` in a transaction: an error takes back all that it has done, and so does an unwind, because a client that is
    /// dropped in a transaction leaves it to the server to end it.
    pub fn transaction<T, E: From<Error>>(
        &mut self,
        f: impl FnOnce(&mut Self) -> Result<T, E>,
    ) -> Result<T, E> {
        self.batch_execute("BEGIN")?;
        match f(self) {
            Ok(value) => self.batch_execute("COMMIT").map(|()| value).map_err(E::from),
            Err(error) => {
                self.batch_execute("ROLLBACK")?;
                Err(error)
            }
        }
    }

    /// Says good-bye. To drop a client does, too: the server then ends what was begun.
    pub fn close(mut self) -> Result<(), Error> {
        self.ask(|out| {
            frontend::terminate(out);
            Ok(())
        })
    }

    fn run(&mut self, statement: &Statement, values: &[&(dyn ToSql + Sync)]) -> Result<(), Error> {
        if values.len() != statement.parameters.len() {
            let (wanted, given) = (statement.parameters.len(), values.len());
            return Err(Error::Value(format!("{wanted} parameters are wanted, {given} given").into()));
        }
        self.ask(|out| {
            let values = values.iter().zip(&statement.parameters);
            let value = |(value, of): (&&(dyn ToSql + Sync), &Type), out: &mut BytesMut| {
                value.to_sql_checked(of, out).map(|null| match null {
                    postgres_types::IsNull::Yes => postgres_protocol::IsNull::Yes,
                    postgres_types::IsNull::No => postgres_protocol::IsNull::No,
                })
            };
            frontend::bind("", &statement.name, [BINARY], values, value, [BINARY], out).map_err(|error| {
                match error {
                    frontend::BindError::Conversion(error) => Error::Value(error),
                    frontend::BindError::Serialization(error) => Error::Io(error),
                }
            })?;
            frontend::execute("", 0, out)?;
            frontend::sync(out);
            Ok(())
        })
    }

    /// Writes a question and sends it.
    fn ask(&mut self, question: impl FnOnce(&mut BytesMut) -> Result<(), Error>) -> Result<(), Error> {
        if self.asking {
            let text = "an earlier conversation was broken off: connect again";
            return Err(Error::Io(io::Error::new(io::ErrorKind::BrokenPipe, text)));
        }
        if let Err(error) = question(&mut self.to_send) {
            self.to_send.clear();
            return Err(error);
        }
        self.asking = true;
        self.send()
    }

    fn send(&mut self) -> Result<(), Error> {
        self.stream.write_all(&self.to_send)?;
        self.to_send.clear();
        Ok(self.stream.flush()?)
    }

    /// Gives each part of the answer to `each`, until the server is ready for the next question; then the first error.
    fn answers(&mut self, mut each: impl FnMut(Message) -> Result<(), Error>) -> Result<(), Error> {
        let mut outcome = Ok(());
        loop {
            match self.receive()? {
                Message::ReadyForQuery(_) => {
                    self.asking = false;
                    return outcome;
                }
                Message::ErrorResponse(body) => outcome = outcome.and(Err(Error::from(&body))),
                message if outcome.is_ok() => outcome = each(message),
                _ => {}
            }
        }
    }

    /// The next message that is not merely for our information.
    fn receive(&mut self) -> Result<Message, Error> {
        let mut buffer = [0; 8192];
        loop {
            match Message::parse(&mut self.received)? {
                Some(Message::NoticeResponse(_) | Message::ParameterStatus(_)) => {}
                Some(message) => return Ok(message),
                None => match self.stream.read(&mut buffer)? {
                    0 => return Err(Error::Io(io::ErrorKind::UnexpectedEof.into())),
                    length => self.received.extend_from_slice(&buffer[..length]),
                },
            }
        }
    }
}

/// Makes `accounts` accounts, of 1,000 each.
pub fn open_accounts<S: Read + Write>(client: &mut Client<S>, accounts: i64) -> Result<(), Error> {
    client.batch_execute(
        "DROP TABLE IF EXISTS accounts;
         CREATE TABLE accounts (id bigint PRIMARY KEY, balance bigint NOT NULL CHECK (balance >= 0))",
    )?;
    let insert =
        client.prepare("INSERT INTO accounts SELECT n, 1000 FROM generate_series(0, $1::bigint - 1) n")?;
    client.execute(&insert, &[&accounts]).map(drop)
}

/// One who pays over a connection, with statements that were prepared once.
pub struct Teller<S> {
    client: Client<S>,
    lock: Statement,
    add: Statement,
}

impl<S: Read + Write> Teller<S> {
    /// Prepares what it will say.
    pub fn new(mut client: Client<S>) -> Result<Self, Error> {
        // Whoever pays locks both accounts in the order of their numbers, so that nobody waits in a circle.
        let lock =
            client.prepare("SELECT balance FROM accounts WHERE id = ANY($1) ORDER BY id FOR UPDATE")?;
        let add = client.prepare("UPDATE accounts SET balance = balance + $2 WHERE id = $1")?;
        Ok(Self { client, lock, add })
    }

    /// Pays, if there is enough; whether there was.
    pub fn pay(&mut self, from: i64, to: i64, amount: i64) -> Result<bool, Error> {
        let Self { client, lock, add } = self;
        client.transaction(|client| {
            let balances = client.query(lock, &[&[from, to].as_slice()])?;
            let payers = &balances[usize::from(from > to)];
            if payers.get::<i64>(0)? < amount {
                return Ok(false);
            }
            client.execute(add, &[&from, &-amount])?;
            client.execute(add, &[&to, &amount])?;
            Ok(true)
        })
    }

    /// Goes home.
    pub fn close(self) -> Result<(), Error> {
        self.client.close()
    }
}

/// Makes accounts, has so many clients pay each other, ten payments each, and returns what there is in the end.
pub fn crowd<S: Read + Write>(
    clients: i64,
    connect: impl Fn() -> Result<Client<S>, Error> + Sync,
) -> Result<i64, Error> {
    let mut first = connect()?;
    open_accounts(&mut first, clients)?;
    let connect = &connect;
    scope_with(OnFailure::Isolate, |s| {
        let payers: Vec<_> = (0..clients)
            .map(|me| {
                s.spawn(move || {
                    let mut teller = Teller::new(connect()?)?;
                    for n in 1..=10 {
                        teller.pay(me, (me + n) % clients, 10 * n + me % 3)?;
                    }
                    teller.close()
                })
            })
            .collect();
        payers.into_iter().try_for_each(|payer| payer.join().map_err(|error| Error::Value(error.into()))?)
    })?;
    let sum = first.prepare("SELECT sum(balance)::bigint FROM accounts")?;
    first.query(&sum, &[])?[0].get(0)
}

fn main() -> Result<(), Box<dyn StdError>> {
    const CLIENTS: i64 = 90; // PostgreSQL takes 100 unless it is told otherwise
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, user, password] = &arguments[..] else {
        return Err("usage: postgres ADDRESS|PATH USER PASSWORD".into());
    };
    let sum = ropewalk::run(|| match address.starts_with('/') {
        true => crowd(CLIENTS, || Client::connect(UnixStream::connect(address)?, user, "postgres", password)),
        false => crowd(CLIENTS, || Client::connect(TcpStream::connect(address)?, user, "postgres", password)),
    })?;
    println!("{CLIENTS} clients have paid each other, and still have {sum}: {} each", sum / CLIENTS);
    Ok(())
}
