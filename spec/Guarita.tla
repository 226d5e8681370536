------------------------------- MODULE Guarita -------------------------------
(* The write path of Guarita: one ticket, created, then redeemed by rivals, on *)
(* three data nodes watched by three Sentinels and used by two services.       *)
(* docs/exactly-once.md says in words what is promised and what is not.        *)
EXTENDS Integers, Sequences, FiniteSets, TLC

CONSTANTS
    n1, n2, n3,   \* data nodes; n1 is the primary at first
    s1, s2, s3,   \* Sentinels, quorum 2
    v1, v2,       \* services
    Services,     \* those that run
    x, y,         \* rivals: the attempts that redeem the ticket
    Durability,   \* "balanced" | "strict" | "fast"
    Off,          \* rules that are switched off, by name
    Kinds,        \* what may happen: crash pause cut link force
    OnlyRivals,   \* is only the scene of the two rivals looked at?
    MaxFaults,    \* how many of them, at most
    MaxResets,    \* how many SENTINEL RESET, at most
    MaxEpoch,     \* how many elections, at most
    MaxLog,       \* how many writes a node's history holds, at most
    Late,         \* services that start late: they know no node at first
    SideOne,      \* who a cut divides from whom; all others still reach both
    SideTwo,
    Apart,        \* does a second fault wait until the first is over and repaired?
    Elected,      \* "paused" | "dead" | "cut off": n1 is at first, and two Sentinels were
                  \* elected one after the other; "no": all is well at first
    Former,       \* who was primary before n1: that was repaired long ago
    Forgotten     \* who is listed since a RESET, and has not been heard since

VARIABLES
    up, src, log, lnk, ready,                 \* data nodes
    prim, epoch, listed, down, lead, voted,   \* Sentinels
    heard, former,
    known, left,                              \* services
    op,                                       \* calls
    side, faults, resets                      \* the world

nodeVars == <<up, src, log, lnk, ready>>
listVars == <<heard, former>>
sentinelVars == <<prim, epoch, listed, down, lead, voted, listVars>>
serviceVars == <<known, left>>
worldVars == <<side, faults, resets>>
vars == <<nodeVars, sentinelVars, serviceVars, op, worldVars>>

Nodes == {n1, n2, n3}
Sentinels == {s1, s2, s3}
Rivals == {x, y}
Calls == {"create"} \cup Rivals
On(rule) == rule \notin Off
Endpoints == Nodes \cup Sentinels \cup Services
Whole == [e \in Endpoints |-> 0]
Divided == [e \in Endpoints |-> IF e \in SideOne THEN 1 ELSE IF e \in SideTwo THEN 2 ELSE 0]

----------------------------------------------------------------------------
(* What a node's history says. It is a list of writes: the create, the redeem *)
(* that was admitted (named by its attempt), and marks, which change nothing  *)
(* but must be replicated all the same.                                       *)

Has(history, write) == \E i \in DOMAIN history : history[i] = write

Outcome(history, call) ==
    CASE call = "create"                               -> "created"
      [] ~Has(history, "create")                       -> "unknown"
      [] \E r \in Rivals \ {call} : Has(history, r)    -> "used"
      [] OTHER                                         -> "admitted"

(* The write that a call adds. A repeated create, a replay and a refusal add  *)
(* a mark: WAIT proves nothing after a command that wrote nothing.            *)
Write(history, call) ==
    IF Has(history, call) \/ Outcome(history, call) \in {"unknown", "used"}
    THEN "mark" ELSE call

IsPrefix(p, q) == Len(p) <= Len(q) /\ SubSeq(q, 1, Len(p)) = p

----------------------------------------------------------------------------
(* Who reaches whom. A cut puts some endpoints on side 1 and some on side 2;  *)
(* the rest (side 0) still reach both: a partition need not be clean.         *)

Cut(p, q) == side[p] * side[q] = 2
Runs(n) == up[n] = "running"
Reaches(p, n) == ~Cut(p, n) /\ Runs(n)
IsPrimary(n) == src[n] = n
Attached(n, r) == lnk[n][r] >= 0

(* No election can come any more: one vote is given per epoch, so no two are   *)
(* left to elect another; or nobody is missed, and nobody will be.            *)
NoElection ==
    /\ faults = MaxFaults
    /\ \/ Cardinality({s \in Sentinels : voted[s] = MaxEpoch}) >= 2
       \/ /\ side = Whole /\ \A n \in Nodes : Runs(n)
          /\ \A s \in Sentinels : prim[s] \notin down[s]

(* Does it matter who has answered a Sentinel since it switched?              *)
Tracks == Durability = "balanced" /\ On("former primary")

Idle == [state |-> "idle"]
Sent(o) == op[o].state = "sent"
Done(o, outcome) == op[o].state = "done" /\ op[o].outcome = outcome
Dropped(n) == [o \in Calls |-> IF Sent(o) /\ op[o].node = n THEN Idle ELSE op[o]]
NoLead == [to |-> "nobody"]

(* A broken promise involves two calls: create and a later redeem, or two      *)
(* rivals for a ticket that is everywhere. So these two scenes are checked.   *)
Finished(outcome) == [state |-> "done", outcome |-> outcome]
Scenes ==
    {[o \in Calls |-> IF o = "create" THEN Finished("created") ELSE Idle]}
    \cup IF OnlyRivals THEN {} ELSE {[o \in Calls |-> IF o = y THEN Finished("absent") ELSE Idle]}

(* Two elections are many steps, so some runs begin with them behind: n1 was   *)
(* struck, s2 was elected and chose n2, then s3 voted for s1, which chose n3.  *)
(* What was sent to n1 before may have reached some, all or nobody; a crash   *)
(* dropped its caller and any tail. (Where n1 runs, all that is still to come.) *)
TwoElected == Elected # "no"
Begun == [o \in Calls |-> IF o = "create" THEN Finished("created") ELSE Idle]
SentToN1(o) == [Begun EXCEPT ![o] = [state |-> "sent", outcome |-> "admitted",
                                     node |-> n1, at |-> 2, via |-> v1]]
Before ==
    {[op |-> Begun, log |-> <<"create">>]} \cup
    IF Elected = "cut off" THEN {} ELSE
    {[op |-> IF Elected = "dead" THEN Begun ELSE SentToN1(o), log |-> <<"create", o>>] : o \in Rivals}
Prefixes(history) == {SubSeq(history, 1, k) : k \in 0..Len(history)}

(* Where a run begins: in peace, or with the two elections behind.            *)
Peace ==
    /\ up = [n \in Nodes |-> "running"]
    /\ side = Whole /\ faults = 0
    /\ \E begun \in Scenes :
        /\ op = [o \in Calls |-> begun[o]]
        /\ log = [n \in Nodes |-> IF begun["create"] = Idle THEN <<>> ELSE <<"create">>]
    /\ down = [s \in Sentinels |-> {}]
    /\ lead = [s \in Sentinels |-> NoLead]
    /\ voted = [s \in Sentinels |-> 0]

AfterTwoElections ==
    /\ up = [n \in Nodes |-> IF n = n1 /\ Elected # "cut off" THEN Elected ELSE "running"]
    /\ side = (IF Elected = "cut off" THEN Divided ELSE Whole) /\ faults = 1
    /\ \E before \in Before :
        /\ op = before.op
        /\ log \in [Nodes -> Prefixes(before.log)]
        /\ Elected # "dead" => log[n1] = before.log
    /\ log[n2] # <<>> /\ log[n3] # <<>>
    /\ down = [s \in Sentinels |-> IF Reaches(s, n1) THEN {} ELSE {n1}]
    /\ lead = [s \in Sentinels |-> CASE s = s1 -> [to |-> n3, epoch |-> 2]
                                     [] s = s2 -> [to |-> n2, epoch |-> 1]
                                     [] s = s3 -> NoLead]
    /\ voted = [s \in Sentinels |-> IF s = s2 THEN 1 ELSE 2]

Init ==
    /\ IF TwoElected THEN AfterTwoElections ELSE Peace
    /\ src = [n \in Nodes |-> n1]
    /\ lnk = [n \in Nodes |-> [r \in Nodes |->
                IF n = n1 /\ r # n1 /\ up[n1] # "dead" THEN Len(log[r]) ELSE -1]]
    /\ ready = [n \in Nodes |-> TRUE]
    /\ prim = [s \in Sentinels |-> n1]
    /\ epoch = [s \in Sentinels |-> 0]
    /\ listed = [s \in Sentinels |-> {n2, n3}]
    /\ heard = [s \in Sentinels |-> Nodes \ Forgotten]
    /\ former = [s \in Sentinels |-> IF On("heard once") THEN {} ELSE Former]
    /\ known = [v \in Services |-> IF v \in Late THEN {} ELSE Nodes]
    /\ left = [v \in Services |-> {}]
    /\ resets = 0

----------------------------------------------------------------------------
(* Replication. lnk[n][r] is what primary n knows of replica r: -1 when r is  *)
(* not in its list, otherwise how many writes r has acknowledged.             *)

(* A replica receives the next write and acknowledges it. Data that a primary *)
(* sent before it was paused still arrives, and its acknowledgement waits in  *)
(* the primary's socket until it resumes.                                     *)
Replicate(n, r) ==
    /\ IsPrimary(n) /\ src[r] = n /\ r # n /\ Attached(n, r)
    /\ Runs(r) /\ up[n] # "dead" /\ ~Cut(n, r) /\ Len(log[r]) < Len(log[n])
    /\ log' = [log EXCEPT ![r] = SubSeq(log[n], 1, Len(@) + 1)]
    /\ lnk' = [lnk EXCEPT ![n][r] = Len(log'[r])]
    /\ ready' = [ready EXCEPT ![r] = @ \/ log'[r] = log[n]]
    /\ UNCHANGED <<up, src, sentinelVars, serviceVars, op, worldVars>>

(* A replica attaches. What it has continues where it is a prefix (partial    *)
(* resynchronization); otherwise it takes the primary's data whole.           *)
Attach(n, r) ==
    /\ IsPrimary(n) /\ src[r] = n /\ r # n /\ ~Attached(n, r)
    /\ Runs(n) /\ Reaches(n, r)
    /\ log' = [log EXCEPT ![r] = IF IsPrefix(@, log[n]) THEN @ ELSE log[n]]
    /\ lnk' = [lnk EXCEPT ![n][r] = Len(log'[r])]
    /\ ready' = [ready EXCEPT ![r] = @ \/ log'[r] = log[n]]
    /\ UNCHANGED <<up, src, sentinelVars, serviceVars, op, worldVars>>

(* A primary notices that a replica is gone: the connection was closed, or    *)
(* nothing came for repl-timeout.                                             *)
NoticeGone(n, r) ==
    /\ IsPrimary(n) /\ Runs(n) /\ Attached(n, r)
    /\ src[r] # n \/ ~Reaches(n, r)
    /\ lnk' = [lnk EXCEPT ![n][r] = -1]
    /\ ready' = [ready EXCEPT ![r] = @ /\ (src[r] # n \/ ~On("promotable"))]
    /\ UNCHANGED <<up, src, log, sentinelVars, serviceVars, op, worldVars>>

----------------------------------------------------------------------------
(* Sentinels. Each has its own view; views lag.                               *)

(* A Sentinel flags a node s_down, or clears the flag, some time after it     *)
(* became true.                                                               *)
Flag(s, n) ==
    /\ Reaches(s, n) = (n \in down[s])
    /\ n \in listed[s] \cup {prim[s]}
    /\ down' = [down EXCEPT ![s] = IF n \in @ THEN @ \ {n} ELSE @ \cup {n}]
    /\ UNCHANGED <<nodeVars, prim, epoch, listed, lead, voted, listVars, serviceVars, op, worldVars>>

(* A node that was listed anew answers INFO for the first time. That lets it   *)
(* be chosen, and takes votes away; where nobody can be chosen any more it    *)
(* could only hold answers back, so it is not followed there.                 *)
Answer(s, n) ==
    /\ n \in listed[s] \ heard[s] /\ Reaches(s, n) /\ ~NoElection
    /\ heard' = [heard EXCEPT ![s] = @ \cup {n}]
    /\ former' = [former EXCEPT ![s] = IF On("heard once") THEN @ \ {n} ELSE @]
    /\ UNCHANGED <<nodeVars, prim, epoch, listed, down, lead, voted, serviceVars, op, worldVars>>

(* Any listed replica that has answered INFO and is not flagged may be        *)
(* chosen; a node with priority 0 may not (the agent of a detached, demoted   *)
(* or restarted node sets that until it has caught up).                       *)
Choosable(s, r) ==
    r \in (listed[s] \cap heard[s]) \ down[s] /\ (On("promotable") => ready[r])

(* o_down needs a second Sentinel that flags the same primary; the leader     *)
(* needs the votes of two, and one vote is given per epoch (a voter need not  *)
(* see the primary down). It chooses at once and promotes later, also when    *)
(* the primary has come back meanwhile, or never: giving up (failover-timeout) *)
(* leaves what a run with one election less has.                              *)
Elect(s, r) ==
    /\ lead[s] = NoLead /\ prim[s] \in down[s] /\ Choosable(s, r)
    /\ \E t \in Sentinels \ {s} : ~Cut(s, t) /\ prim[t] = prim[s] /\ prim[s] \in down[t]
    /\ \E t \in Sentinels \ {s} :
        LET e == 1 + IF voted[t] > voted[s] THEN voted[t] ELSE voted[s] IN
        /\ ~Cut(s, t) /\ e <= MaxEpoch
        /\ voted' = [voted EXCEPT ![s] = e, ![t] = e]
        /\ lead' = [lead EXCEPT ![s] = [to |-> r, epoch |-> e]]
    /\ UNCHANGED <<nodeVars, prim, epoch, listed, down, listVars, serviceVars, op, worldVars>>

(* Naming a new primary, a Sentinel builds its list anew: old replicas and    *)
(* the old primary, with no flags, and none of them heard yet.                *)
Switch(s, n, e) ==
    /\ heard' = IF Tracks THEN [heard EXCEPT ![s] = {}] ELSE heard
    /\ former' = IF Tracks
                 THEN [former EXCEPT ![s] = IF On("last former") THEN {prim[s]} ELSE @ \cup {prim[s]}]
                 ELSE former
    /\ prim' = [prim EXCEPT ![s] = n]
    /\ epoch' = [epoch EXCEPT ![s] = e]
    /\ listed' = [listed EXCEPT ![s] = (@ \cup {prim[s]}) \ {n}]
    /\ down' = [down EXCEPT ![s] = {}]
    /\ lead' = [lead EXCEPT ![s] = NoLead]

(* REPLICAOF NO ONE; the replica leaves its primary, which notices later.     *)
Promote(s) ==
    LET r == lead[s].to IN
    /\ lead[s] # NoLead /\ Reaches(s, r)
    /\ src' = [src EXCEPT ![r] = r]
    /\ lnk' = [lnk EXCEPT ![r] = [m \in Nodes |-> -1]]
    /\ Switch(s, r, lead[s].epoch)
    /\ UNCHANGED <<up, log, ready, voted, serviceVars, op, worldVars>>

(* The newest configuration spreads by hello messages, which Sentinels        *)
(* publish on the data nodes: both must reach one.                            *)
Learn(s, t) ==
    /\ epoch[t] > epoch[s] /\ \E n \in Nodes : Reaches(s, n) /\ Reaches(t, n)
    /\ Switch(s, prim[t], epoch[t])
    /\ UNCHANGED <<nodeVars, voted, serviceVars, op, worldVars>>

(* A Sentinel points a node at the primary that it names. It waits 8 s for a  *)
(* newer configuration first, so none can be heard on that node. A primary    *)
(* that is demoted drops the callers that wait.                               *)
Repoint(s, n) ==
    /\ n # prim[s] /\ src[n] # prim[s] /\ Reaches(s, n) /\ prim[s] \notin down[s]
    /\ n \in listed[s] /\ lead[s] = NoLead
    /\ \A t \in Sentinels : Reaches(t, n) => epoch[t] <= epoch[s]
    /\ src' = [src EXCEPT ![n] = prim[s]]
    /\ lnk' = [lnk EXCEPT ![n] = [m \in Nodes |-> -1], ![prim[s]][n] = -1]
    /\ ready' = [ready EXCEPT ![n] = ~On("promotable")]
    /\ op' = Dropped(n)
    /\ UNCHANGED <<up, log, sentinelVars, serviceVars, worldVars>>

(* SENTINEL RESET forgets replicas, flags and a failover under way.           *)
Reset(s) ==
    /\ resets < MaxResets
    /\ resets' = resets + 1
    /\ listed' = [listed EXCEPT ![s] = {}]
    /\ down' = [down EXCEPT ![s] = {}]
    /\ lead' = [lead EXCEPT ![s] = NoLead]
    /\ heard' = IF Tracks THEN [heard EXCEPT ![s] = {}] ELSE heard
    /\ UNCHANGED <<nodeVars, prim, epoch, voted, former, serviceVars, op, side, faults>>

(* The list comes back from the INFO of the primary it names.                 *)
Relist(s) ==
    LET seen == {r \in Nodes : Attached(prim[s], r)} IN
    /\ MaxResets > 0 /\ Reaches(s, prim[s]) /\ IsPrimary(prim[s])
    /\ ~(seen \subseteq listed[s])
    /\ listed' = [listed EXCEPT ![s] = @ \cup seen]
    /\ UNCHANGED <<nodeVars, prim, epoch, down, lead, voted, listVars, serviceVars, op, worldVars>>

----------------------------------------------------------------------------
(* Services: who must have a write before it is acknowledged. Any Sentinel     *)
(* may fail to answer, so nothing here rests on hearing all of them.          *)

Answers(v, s) == ~Cut(v, s)

(* Sentinel s votes to leave replica r of primary n out. Both readings and the *)
(* age of the last good ping come to this: at one moment r really did not     *)
(* answer s, while n did (readings are 2 s apart, a ping is at most 2 s old). *)
SeesHealthy(s, n) == prim[s] = n /\ n \notin down[s] /\ lead[s] = NoLead
SaysDown(s, n, r) ==
    \/ r \in down[s] /\ (On("two readings") => ~Reaches(s, r))
    \/ ~On("unlisted is no vote") /\ r \notin listed[s] \cup {prim[s]}
    \/ ~On("priority 0 is no vote") /\ ~Attached(n, r)   \* its agent sets it then

(* Or its word that r cannot be chosen: r was primary before n, and has not    *)
(* answered it since it switched. A ping may be as old as the switch.         *)
NotHeard(s, r) ==
    /\ Tracks /\ r \in listed[s]
    /\ On("former alone") => r \in former[s]
    /\ On("not heard") => r \notin heard[s]

Votes(s, n, r) ==
    /\ On("healthy") => SeesHealthy(s, n)
    /\ \/ SaysDown(s, n, r) /\ (On("healthy") /\ On("fresh ping") => Reaches(s, n))
       \/ NotHeard(s, r)

LeftOut(v, n, r) ==
    /\ On("own list") => ~Attached(n, r)
    /\ Cardinality({s \in Sentinels : Answers(v, s) /\ Votes(s, n, r)})
            >= (IF On("two voters") THEN 2 ELSE 1)

(* A service hears a Sentinel: nodes that it names and lists are known now.   *)
Hear(v, s) ==
    LET seen == listed[s] \cup (IF On("named") THEN {prim[s]} ELSE {}) IN
    /\ Durability = "balanced" /\ Answers(v, s)
    /\ known' = [known EXCEPT ![v] = IF On("known before") THEN @ \cup seen ELSE seen]
    /\ UNCHANGED <<nodeVars, sentinelVars, left, op, worldVars>>

(* Only where an exception is kept after its cause is gone.                   *)
Keep(v, n, r) ==
    /\ ~On("ends on recovery") /\ IsPrimary(n) /\ r # n /\ LeftOut(v, n, r)
    /\ left' = [left EXCEPT ![v] = @ \cup {<<n, r>>}]
    /\ UNCHANGED <<nodeVars, sentinelVars, known, op, worldVars>>

(* The primary's own list is read together with the WAIT: it adds to the      *)
(* required set, and an attached replica is never left out.                   *)
Required(v, n) ==
    LET own == {r \in Nodes \ {n} : Attached(n, r)}
        out == {r \in Nodes \ {n} : LeftOut(v, n, r) \/ <<n, r>> \in left[v]}
    IN
    CASE Durability = "strict" -> Nodes \ {n}
      [] ~On("sentinels")      -> own
      [] ~On("own list")       -> known[v] \ ({n} \cup out)
      [] OTHER                 -> (known[v] \cup own) \ ({n} \cup out)

----------------------------------------------------------------------------
(* Calls. The ticket's id is known to nobody before the create is             *)
(* acknowledged. A service may write to any node that takes writes: it may    *)
(* have connected long ago. A call without an answer (503, outcome unknown)   *)
(* may be sent again, as the same attempt, by any service.                    *)

Send(o, v, n) ==
    LET outcome == Outcome(log[n], o) IN
    /\ op[o].state # "done" /\ (o # "create" => Done("create", "created"))
    /\ Sent(o) => <<op[o].node, op[o].via>> # <<n, v>>
    /\ IsPrimary(n) /\ Reaches(v, n)
    /\ IF ~On("refusals") /\ outcome \in {"unknown", "used"}
       THEN /\ op' = [op EXCEPT ![o] = Finished(outcome)]
            /\ UNCHANGED log
       ELSE /\ Len(log[n]) < MaxLog
            /\ log' = [log EXCEPT ![n] = Append(@, Write(@, o))]
            /\ op' = [op EXCEPT ![o] = [state |-> "sent", outcome |-> outcome,
                                        node |-> n, at |-> Len(log'[n]), via |-> v]]
    /\ UNCHANGED <<up, src, lnk, ready, sentinelVars, serviceVars, worldVars>>

(* WAIT on the connection of the write: every required replica has            *)
(* acknowledged it, and at least one is required.                             *)
Acknowledge(o) ==
    LET c == op[o]
        required == Required(c.via, c.node)
    IN
    /\ Sent(o) /\ Reaches(c.via, c.node)
    /\ \/ Durability = "fast"
       \/ /\ known[c.via] # {} /\ required # {}
          /\ \A r \in required : lnk[c.node][r] >= c.at
    /\ op' = [op EXCEPT ![o] = Finished(c.outcome)]
    /\ UNCHANGED <<nodeVars, sentinelVars, serviceVars, worldVars>>

----------------------------------------------------------------------------
(* Faults, at most MaxFaults; what ends one is free.                          *)

Repaired ==
    /\ side = Whole /\ \A n \in Nodes : Runs(n)
    /\ \A s \in Sentinels : down[s] = {} /\ lead[s] = NoLead /\ prim[s] = prim[s1]
                          /\ former[s] \subseteq heard[s]
    /\ \A r \in Nodes \ {prim[s1]} : src[r] = prim[s1] /\ Attached(prim[s1], r)
                                   /\ log[r] = log[prim[s1]]
Fault(kind) ==
    /\ kind \in Kinds /\ faults < MaxFaults /\ faults' = faults + 1
    /\ Apart => Repaired
NoNewFault == UNCHANGED <<side, faults, resets>>

(* All data, a lost tail (fsync is late), or nothing: any prefix is left.     *)
Crash(n) ==
    /\ Fault("crash") /\ up[n] # "dead"
    /\ up' = [up EXCEPT ![n] = "dead"]
    /\ \E k \in 0..Len(log[n]) : log' = [log EXCEPT ![n] = SubSeq(@, 1, k)]
    /\ lnk' = [lnk EXCEPT ![n] = [m \in Nodes |-> -1]]
    /\ op' = Dropped(n)
    /\ UNCHANGED <<src, ready, sentinelVars, serviceVars, side, resets>>

(* The boot rule: a node starts as a replica of the node that two Sentinels   *)
(* name; where they still name it, it starts as primary only when it reaches  *)
(* every peer and none has more history. A node that a failover under way has *)
(* chosen waits until that is over, or it would be promoted as it comes back. *)
Restart(n) ==
    /\ up[n] = "dead" /\ up' = [up EXCEPT ![n] = "running"]
    /\ \E m \in Nodes :
        /\ IF On("boot")
           THEN /\ Cardinality({s \in Sentinels : ~Cut(s, n) /\ prim[s] = m}) >= 2
                /\ m = n => \A p \in Nodes \ {n} : Reaches(n, p) /\ IsPrefix(log[p], log[n])
           ELSE m = src[n]
        /\ On("chosen") => \A s \in Sentinels : lead[s].to = n => Cut(s, n)
        /\ src' = [src EXCEPT ![n] = m]
        /\ lnk' = [lnk EXCEPT ![m][n] = -1]
        /\ ready' = [ready EXCEPT ![n] = (m = n) \/ ~On("promotable")]
    /\ NoNewFault /\ UNCHANGED <<log, sentinelVars, serviceVars, op>>

Pause(n) ==
    /\ Fault("pause") /\ Runs(n) /\ up' = [up EXCEPT ![n] = "paused"]
    /\ UNCHANGED <<src, log, lnk, ready, sentinelVars, serviceVars, op, side, resets>>

Resume(n) ==
    /\ up[n] = "paused" /\ up' = [up EXCEPT ![n] = "running"]
    /\ NoNewFault /\ UNCHANGED <<src, log, lnk, ready, sentinelVars, serviceVars, op>>

(* A replication link breaks by itself, or a slow replica is dropped: no       *)
(* fault, it may happen at any time.                                          *)
Break(n, r) ==
    /\ "link" \in Kinds /\ NoNewFault /\ IsPrimary(n) /\ Runs(n) /\ Attached(n, r)
    /\ lnk' = [lnk EXCEPT ![n][r] = -1]
    /\ ready' = [ready EXCEPT ![r] = @ /\ (src[r] # n \/ ~On("promotable"))]
    /\ UNCHANGED <<up, src, log, sentinelVars, serviceVars, op>>

(* SENTINEL FAILOVER: no quorum and no votes are asked for.                   *)
Force(s, r) ==
    /\ Fault("force") /\ lead[s] = NoLead /\ Choosable(s, r) /\ voted[s] < MaxEpoch
    /\ voted' = [voted EXCEPT ![s] = @ + 1]
    /\ lead' = [lead EXCEPT ![s] = [to |-> r, epoch |-> voted'[s]]]
    /\ UNCHANGED <<nodeVars, prim, epoch, listed, down, listVars, serviceVars, op, side, resets>>

StartCut ==
    /\ Fault("cut") /\ side = Whole /\ side' = Divided
    /\ UNCHANGED <<nodeVars, sentinelVars, serviceVars, op, resets>>

Heal ==
    /\ side # Whole /\ side' = Whole
    /\ UNCHANGED <<nodeVars, sentinelVars, serviceVars, op, faults, resets>>

----------------------------------------------------------------------------
Next ==
    \/ \E n, r \in Nodes : Replicate(n, r) \/ Attach(n, r) \/ NoticeGone(n, r) \/ Break(n, r)
    \/ \E s \in Sentinels, n \in Nodes : Flag(s, n) \/ Answer(s, n) \/ Elect(s, n) \/ Repoint(s, n) \/ Force(s, n)
    \/ \E s \in Sentinels : Promote(s) \/ Reset(s) \/ Relist(s)
    \/ \E s, t \in Sentinels : Learn(s, t)
    \/ \E v \in Services, s \in Sentinels : Hear(v, s)
    \/ \E v \in Services, n, r \in Nodes : Keep(v, n, r)
    \/ \E o \in Calls, v \in Services, n \in Nodes : Send(o, v, n)
    \/ \E o \in Calls : Acknowledge(o)
    \/ \E n \in Nodes : Crash(n) \/ Restart(n) \/ Pause(n) \/ Resume(n)
    \/ StartCut \/ Heal

(* Nothing can break any more: states that are not followed. A rival was       *)
(* refused, or answered where it was alone. Or every node that takes writes,  *)
(* or may yet, has what was acknowledged, and that decides what the others    *)
(* are told; or there is one such node only.                                  *)
MayLead ==
    {n \in Nodes : IsPrimary(n) \/ (up[n] = "dead" /\ \E s \in Sentinels : prim[s] = n)}
    \cup ({lead[s].to : s \in Sentinels} \ {"nobody"})
Acknowledged == {o \in Calls : op[o].state = "done" /\ op[o].outcome # "absent"}
Over ==
    \/ Done(x, "used") \/ Done(y, "used")
    \/ Done(y, "absent") /\ op[x].state = "done"
    \/ /\ NoElection /\ \A n \in MayLead, o \in Acknowledged : Has(log[n], o)
       /\ \/ Cardinality(MayLead) = 1
          \/ IF Done(y, "absent") THEN Acknowledged # {} ELSE Acknowledged # {"create"}
Open == ~Over

(* Names that play the same part may be exchanged.                            *)
Alike(S) == IF S = {} THEN {} ELSE Permutations(S)
Exchangeable(S) ==
    Alike(S \cap SideOne) \cup Alike(S \cap SideTwo) \cup Alike(S \ (SideOne \cup SideTwo))
Symmetry ==
    (IF Former = {} /\ ~TwoElected THEN Exchangeable({n2, n3}) ELSE {})
    \cup (IF TwoElected THEN {} ELSE Exchangeable(Sentinels)) \cup Permutations(Rivals)
    \cup Exchangeable(Services \cap Late) \cup Exchangeable(Services \ Late)

Spec == Init /\ [][Next]_vars

(* Not a promise: a create is acknowledged while a paused node has not got it. *)
(* It must break, or the rule would hold by never leaving anyone out.         *)
NobodyLeftOut ==
    ~(Done("create", "created") /\ \E n \in Nodes : up[n] = "paused" /\ ~Has(log[n], "create"))

(* No ticket is admitted to two attempts.                                     *)
AtMostOnce == ~(Done(x, "admitted") /\ Done(y, "admitted"))

(* A ticket whose create was acknowledged is known to every acknowledged      *)
(* answer (rivals come only after that).                                      *)
NeverLost == \A o \in Rivals : ~Done(o, "unknown")
=============================================================================
