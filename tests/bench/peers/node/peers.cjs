// SMTP by nodemailer and FTP by basic-ftp.
// Command line: CLIENT OPERATION PORT CA_FILE ARGUMENT COUNT SECONDS; prints one JSON line.
'use strict';
const started = performance.now();
const fs = require('node:fs');
const { Writable } = require('node:stream');

const [client, operation, port, caFile, argument, count, seconds] = process.argv.slice(2);
const isRepeated = ['smtp-messages', 'smtp-batch'].includes(operation);
const ca = fs.readFileSync(caFile);

function goesOn(done, start) {
  return done < Number(count) && performance.now() - start < Number(seconds) * 1000;
}

function report(milliseconds, done) {
  console.log(JSON.stringify({ seconds: milliseconds / 1000, count: done }));
}

async function nodemailer() {
  const transport = require('nodemailer').createTransport({
    host: 'localhost',
    port: Number(port),
    secure: false,
    requireTLS: true,
    name: 'localhost',
    pool: isRepeated,
    maxConnections: 1,
    maxMessages: Infinity,
    auth: { user: 'user', pass: 'password' },
    tls: { ca },
  });
  const envelope = { from: 'a@example.com', to: ['b@example.com'] };
  const raw = operation === 'smtp-large' ? { path: argument } : fs.readFileSync(argument);
  if (isRepeated) await transport.sendMail({ envelope, raw }); // connects
  const start = performance.now();
  let sent = 0;
  while (goesOn(sent, start)) {
    await transport.sendMail({ envelope, raw });
    sent += 1;
  }
  report(performance.now() - (operation === 'smtp-oneshot' ? started : start), sent);
  transport.close();
}

async function basicFtp() {
  const { Client } = require('basic-ftp');
  const ftp = new Client(0);
  await ftp.access({
    host: 'localhost',
    port: Number(port),
    user: 'user',
    password: 'password',
    secure: true,
    secureOptions: { ca },
  });
  let octets = 0;
  const discard = () =>
    new Writable({
      write(block, _encoding, done) {
        octets += block.length;
        done();
      },
    });
  const start = performance.now();
  let done = 0;
  if (operation === 'ftp-download') {
    await ftp.downloadTo(discard(), argument);
    done = octets;
  } else if (operation === 'ftp-upload') {
    await ftp.uploadFrom(argument, 'up/upload.bin');
  } else if (operation === 'ftp-files' || operation === 'ftp-tree') {
    while (goesOn(done, start)) {
      await ftp.downloadTo(discard(), `${argument}/f${String(done).padStart(5, '0')}`);
      done += 1;
    }
  } else {
    done = (await ftp.list(argument)).length;
  }
  const elapsed = performance.now() - start;
  ftp.close();
  report(elapsed, done);
}

({ nodemailer, 'basic-ftp': basicFtp })[client]().catch((error) => {
  console.error(error);
  process.exit(1);
});
