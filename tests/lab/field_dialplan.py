"""The field site's dialplan, in FreePBX's manner: contexts that call subroutines that dial."""

from __future__ import annotations

_TEXT = """[general]
static = yes
writeprotect = yes
[globals]
TECH = @TECH@
MUSIC = @MUSIC@

; --- what clients dial -------------------------------------------------------------------
[from-trunk]
exten => _6XXX,1,Set(__LANE=${EXTEN:1:1})
 same => n,Set(__FROM_DID=${EXTEN})
 same => n,Goto(app-inbound,${EXTEN},1)
exten => _6X4X,1,Set(__LANE=${EXTEN:1:1})
 same => n,Set(__FROM_DID=${EXTEN})
 same => n,Goto(app-slow,${EXTEN},1)

[app-inbound]
; Queues
exten => _6X01,1,Answer()
 same => n,Queue(sales${LANE},t,,,60)
 same => n,Hangup()
exten => _6X02,1,Answer()
 same => n,Queue(service${LANE},t,,,60)
 same => n,Hangup()
; After the talk the client goes on to a second queue.
exten => _6X03,1,Answer()
 same => n,Queue(sales${LANE},tc,,,60)
 same => n,Queue(service${LANE},t,,,60)
 same => n,Hangup()
exten => _6X04,1,Answer()
 same => n,Queue(announce${LANE},t,,,60)
 same => n,Hangup()
exten => _6X05,1,Answer()
 same => n,Queue(pool${LANE},t,,,60)
 same => n,Hangup()
exten => _6X06,1,Answer()
 same => n,Queue(scripted${LANE},t,,,60)
 same => n,Hangup()
exten => _6X07,1,Answer()
 same => n,Queue(sales${LANE},t,,,9)
 same => n,Hangup()
; One phone
exten => _6X10,1,Dial(${TECH}/2${LANE}1,20,tT)
 same => n,Hangup()
exten => _6X11,1,Dial(${TECH}/2${LANE}1,20,U(sub-confirm))
 same => n,Dial(${TECH}/2${LANE}2,20,U(sub-confirm))
 same => n,Hangup()
exten => _6X12,1,FollowMe(2${LANE}1)
 same => n,Hangup()
exten => _6X13,1,Dial(${TECH}/2${LANE}1,20,A(${MUSIC}))
 same => n,Hangup()
exten => _6X14,1,Dial(${TECH}/2${LANE}1,4)
 same => n,Dial(${TECH}/2${LANE}2,20)
 same => n,Hangup()
exten => _6X15,1,Dial(${TECH}/2${LANE}8,20)
 same => n,Hangup()
; What is over when the first phone hangs up goes on to the second.
exten => _6X16,1,Dial(${TECH}/2${LANE}1,20,g)
 same => n,Dial(${TECH}/2${LANE}2,20)
 same => n,Hangup()
exten => _6X17,1,Set(TIMEOUT(absolute)=9)
 same => n,Dial(${TECH}/2${LANE}1,20)
 same => n,Hangup()
; The operator's disconnect code puts the client through to a mobile.
exten => _6X18,1,Dial(${TECH}/2${LANE}1,20,gh)
 same => n,Gosub(sub-dialout-trunk,s,1(mobile${LANE},790000000${LANE}3,8))
 same => n,Hangup()
exten => _6X19,1,Dial(${TECH}/2${LANE}9,20,g)
 same => n,Dial(${TECH}/2${LANE}2,20)
 same => n,Hangup()
; A menu first
exten => _6X20,1,Answer()
 same => n,Playback(silence/1)
 same => n,Dial(${TECH}/2${LANE}1,20)
 same => n,Hangup()
exten => _6X21,1,Answer()
 same => n,Playback(silence/1)
 same => n,Dial(${TECH}/2${LANE}1,4)
 same => n,Dial(${TECH}/2${LANE}2,20)
 same => n,Hangup()
exten => _6X22,1,Answer()
 same => n,Playback(silence/1)
 same => n,Dial(${TECH}/2${LANE}1,20)
 same => n,Queue(service${LANE},t,,,60)
 same => n,Hangup()
exten => _6X23,1,Answer()
 same => n,Playback(silence/1)
 same => n,Dial(${TECH}/2${LANE}1&${TECH}/2${LANE}2,20)
 same => n,Hangup()
; A ring group, without and with confirmation
exten => _6X24,1,Goto(ext-group,6${LANE}24,1)
exten => _6X25,1,Goto(ext-group,6${LANE}25,1)
; The site's own program
exten => _6X26,1,Answer()
 same => n,Stasis(fieldacd${LANE})
 same => n,Hangup()
; FreePBX queues
exten => _6X3X,1,Goto(ext-queues,6${LANE}${EXTEN:3:1},1)

; The same with an h extension that takes its time.
[app-slow]
exten => _6X40,1,Answer()
 same => n,Queue(sales${LANE},t,,,60)
 same => n,Hangup()
exten => _6X41,1,Dial(${TECH}/2${LANE}1,20)
 same => n,Hangup()
exten => _6X42,1,Answer()
 same => n,Queue(6${LANE}0,t,,,60)
 same => n,Hangup()
exten => _6X43,1,Answer()
 same => n,Playback(silence/1)
 same => n,Dial(${TECH}/2${LANE}1&${TECH}/2${LANE}2,20)
 same => n,Hangup()
exten => _6X44,1,Dial(${TECH}/2${LANE}1,20,U(sub-confirm))
 same => n,Hangup()
exten => h,1,System(sleep 4)

; --- queues, ring groups and extensions --------------------------------------------------
[ext-queues]
exten => _6XX,1,Set(__LANE=${EXTEN:1:1})
 same => n,Gosub(sub-record-check,s,1(q,${EXTEN}))
 same => n,Answer()
 same => n,Set(__FROMQUEUEEXTEN=${CALLERID(number)})
 same => n,Set(QOPTIONS=t)
 same => n,Queue(${EXTEN},${QOPTIONS},,,40)
 same => n,Hangup()

[ext-group]
exten => _6X24,1,Dial(Local/2${LANE}1@from-internal/n&Local/2${LANE}2@from-internal/n,20)
 same => n,Hangup()
exten => _6X25,1,Dial(Local/2${LANE}1@grps-confirm/n&Local/2${LANE}2@grps-confirm/n,30)
 same => n,Hangup()

[grps-confirm]
exten => _2XX,1,Dial(${TECH}/${EXTEN},20,U(sub-confirm))
 same => n,Hangup()

[from-queue]
exten => _2XX,1,Set(QAGENT=${EXTEN})
 same => n,Set(__NODEST=${EXTEN})
 same => n,Goto(from-queue-exten-only,${QAGENT},1)

[from-queue-exten-only]
exten => _2XX,1,Gosub(sub-record-check,s,1(exten,${EXTEN}))
 same => n,Gosub(sub-dial,s,1(${EXTEN},15,))
 same => n,Hangup()

[from-queue-confirm]
exten => _2XX,1,Dial(${TECH}/${EXTEN},15,U(sub-confirm))
 same => n,Hangup()

[from-queue-followme]
exten => _2XX,1,FollowMe(${EXTEN})
 same => n,Hangup()

[from-internal-followme]
exten => _2XX,1,Dial(${TECH}/${EXTEN},12)
 same => n,Hangup()

[agentpool]
exten => _2XX,1,AgentRequest(${EXTEN})
 same => n,Hangup()

[ext-local]
exten => _2XX,1,Set(__RINGTIMER=15)
 same => n,Gosub(sub-exten-vm,s,1(novm,${EXTEN}))
 same => n,Hangup()

[sub-exten-vm]
exten => s,1,Set(EXTTOCALL=${ARG2})
 same => n,Gosub(sub-record-check,s,1(exten,${EXTTOCALL}))
 same => n,Gosub(sub-dial,s,1(${EXTTOCALL},${RINGTIMER},tT))
 same => n,Set(SV_DIALSTATUS=${DIALSTATUS})
 same => n,Return()

; Every phone that is registered for an extension rings.
[sub-dial]
exten => s,1,GotoIf($["${TECH}" != "PJSIP"]?plain)
 same => n,Set(DIAL_CONTACTS=${PJSIP_DIAL_CONTACTS(${ARG1})})
 same => n,GotoIf($["${DIAL_CONTACTS}" = ""]?plain)
 same => n,Dial(${DIAL_CONTACTS},${ARG2},${ARG3})
 same => n,Return()
 same => n(plain),Dial(${TECH}/${ARG1},${ARG2},${ARG3})
 same => n,Return()

[sub-record-check]
exten => s,1,Set(__REC_POLICY_MODE=NO)
 same => n,NoOp(${ARG1} ${ARG2})
 same => n,Return()

; Who lifts the phone must press 1 to get the client.
[sub-confirm]
exten => s,1,Read(CONFIRMED,${MUSIC},1,,1,3)
 same => n,GotoIf($["${CONFIRMED}" = "1"]?taken)
 same => n,Set(GOSUB_RESULT=CONTINUE)
 same => n,Return()
 same => n(taken),Return()

; --- operators ---------------------------------------------------------------------------
[from-internal]
include => from-internal-additional

[from-internal-xfer]
include => from-internal-additional

[from-internal-additional]
include => app-agents
include => ext-local
include => ext-queues
include => outbound-allroutes
; The voice mail: an announcement, then the PBX hangs up.
exten => *97,1,Answer()
 same => n,Playback(${MUSIC})
 same => n,Hangup()

[app-agents]
exten => *45,1,Answer()
 same => n,AgentLogin(${CALLERID(num)},s)
 same => n,Hangup()

[outbound-allroutes]
; 9 and a number: the provider, and where it does not take the call the second one.
exten => _9790000000XX,1,Set(NUMBER=${EXTEN:1})
 same => n,Gosub(sub-dialout-trunk,s,1(provider${NUMBER:9:1},${NUMBER},8))
 same => n,GotoIf($["${DIALSTATUS}" = "CHANUNAVAIL" | "${DIALSTATUS}" = "CONGESTION"]?second:over)
 same => n(second),Gosub(sub-dialout-trunk,s,1(backup${NUMBER:9:1},${NUMBER},6))
 same => n(over),Gosub(sub-outisbusy,s,1)
; 0 and a number: tried again once.
exten => _0790000000XX,1,Set(NUMBER=${EXTEN:1})
 same => n,Gosub(sub-dialout-trunk,s,1(provider${NUMBER:9:1},${NUMBER},5))
 same => n,Wait(1)
 same => n,Gosub(sub-dialout-trunk,s,1(provider${NUMBER:9:1},${NUMBER},8))
 same => n,Gosub(sub-outisbusy,s,1)
exten => _790000000X1,1,Gosub(sub-dialout-trunk,s,1(provider${EXTEN:9:1},${EXTEN},8))
 same => n,Gosub(sub-outisbusy,s,1)
exten => _790000000X2,1,Gosub(sub-dialout-trunk,s,1(backup${EXTEN:9:1},${EXTEN},8))
 same => n,Gosub(sub-outisbusy,s,1)
exten => _790000000X3,1,Gosub(sub-dialout-trunk,s,1(mobile${EXTEN:9:1},${EXTEN},8))
 same => n,Gosub(sub-outisbusy,s,1)
exten => _790000000X4,1,Gosub(sub-dialout-trunk,s,1(timers${EXTEN:9:1},${EXTEN},8))
 same => n,Gosub(sub-outisbusy,s,1)
exten => _790000000X5,1,Gosub(sub-dialout-trunk,s,1(lazy${EXTEN:9:1},${EXTEN},8))
 same => n,Gosub(sub-outisbusy,s,1)

[sub-dialout-trunk]
exten => s,1,Set(OUTNUM=${ARG2})
 same => n,Dial(${TECH}/${OUTNUM}@${ARG1},${ARG3},T)
 same => n,NoOp(Dial failed due to trunk reporting ${DIALSTATUS} - ${HANGUPCAUSE})
 same => n,Return()

[sub-outisbusy]
exten => s,1,Hangup()
"""


def field_dialplan(tech: str, music: str) -> str:
    """extensions.conf of the field site; ``music`` is a sound of 4 s that the site plays as announcements."""
    return _TEXT.replace("@TECH@", tech).replace("@MUSIC@", music)
