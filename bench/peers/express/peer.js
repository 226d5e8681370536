// A session on express-session and connect-redis: made, used once, asked for.
import { RedisStore } from "connect-redis";
import express from "express";
import session from "express-session";
import { createClient } from "redis";

const TTL_S = 1800;

const client = createClient({ url: process.env.STORE_URL });
await client.connect();

const app = express();
app.use(
  session({
    store: new RedisStore({ client, disableTouch: true }), // a verify only reads
    secret: process.env.SECRET,
    resave: false,
    saveUninitialized: false,
    cookie: { maxAge: TTL_S * 1000 },
  }),
);

app.post("/create", (req, res) => {
  req.session.user = "user-1";
  req.session.used = false;
  res.json({ user: req.session.user });
});

app.post("/redeem", (req, res) => {
  if (!req.session.user || req.session.used) return res.sendStatus(401);
  req.session.used = true;
  res.json({ user: req.session.user });
});

app.get("/verify", (req, res) => {
  if (!req.session.user) return res.sendStatus(401);
  res.json({ user: req.session.user });
});

app.listen(Number(process.env.PORT), "127.0.0.1");
