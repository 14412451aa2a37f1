"""Sessions as RedisIndexedSessionRepository of Spring Session 3 writes them, in Java serialization or as JSON."""

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from uuid import uuid4

import redis

SpringWrite = Callable[[str | int], bytes]
INDEX = "spring:session:index:org.springframework.session.FindByIndexNameSessionRepository.PRINCIPAL_NAME_INDEX_NAME:"
_NUMBER = "787200106a6176612e6c616e672e4e756d62657286ac951d0b94e08b0200007870"
_LONG = f"aced00057372000e6a6176612e6c616e672e4c6f6e673b8be490cc8f23df0200014a000576616c7565{_NUMBER}"


def in_java(value: str | int) -> bytes:
    """Write what ObjectOutputStream.writeObject writes for a String or a Long."""
    if isinstance(value, int):
        return bytes.fromhex(_LONG) + value.to_bytes(8, "big", signed=True)
    text = value.encode()
    return bytes.fromhex("aced000574") + len(text).to_bytes(2, "big") + text


def in_json(value: str | int) -> bytes:
    return json.dumps(value).encode()


def put_spring_session(
    client: redis.Redis,
    write: SpringWrite,
    user: str,
    *,
    portal: str = "engage",
    created_at: datetime | None = None,
    last_seen_at: datetime | None = None,
) -> str:
    """Save a new session the way RedisSession.save does; nobody signed in is a session without index entry."""
    session_id = str(uuid4())
    fields: Mapping[Any, Any] = {
        "creationTime": write(_milliseconds(created_at)) if created_at else b"",
        "lastAccessedTime": write(_milliseconds(last_seen_at)) if last_seen_at else b"",
        "maxInactiveInterval": write(1800),
        "sessionAttr:portal": write(portal),
    }
    client.hset(f"spring:session:sessions:{session_id}", mapping=fields)
    client.set(f"spring:session:sessions:expires:{session_id}", b"", ex=1800)
    client.sadd("spring:session:expirations:1795001820000", write(f"expires:{session_id}"))
    if user:
        client.sadd(f"{INDEX}{user}", write(session_id))
    return session_id


def spring_session_ids(client: redis.Redis) -> set[str]:
    keys = (key.decode() for key in client.scan_iter("spring:session:sessions:*", count=5000))
    return {key.rpartition(":")[2] for key in keys if ":expires:" not in key}


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
