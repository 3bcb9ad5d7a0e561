"""Send a notice as an e-mail, by the operator's mail server: inside addresses are its own to choose."""

from __future__ import annotations

import smtplib
import ssl
from email.message import EmailMessage
from email.utils import format_datetime
from functools import partial

from config.settings import Smtp
from pipeline.domain.notice import read_lines
from pipeline.domain.webhook import AttemptOutcome, Tried
from pipeline.media.guarded_http import run_with_timeout
from pipeline.store.webhooks.rounds import ArmedEvent

SECONDS, LONGEST = 10.0, 20.0
"""For each answer of the mail server, and for all; what is sent later than that is sent again, with the same id."""
_REFUSED = (smtplib.SMTPResponseException, smtplib.SMTPRecipientsRefused)


def send_email(smtp: Smtp, address: str, event: ArmedEvent) -> Tried:
    """Send a notice and return how it ended; what the mail server refuses counts as an HTTP error does."""
    try:
        run_with_timeout(partial(_send, smtp, build_message(smtp.sender, address, event)), LONGEST)
    except (smtplib.SMTPException, OSError) as error:
        outcome = AttemptOutcome.HTTP_ERROR if isinstance(error, _REFUSED) else AttemptOutcome.UNANSWERED
        return Tried(
            outcome=outcome, error=f"no e-mail sent: {type(error).__name__}", answer=str(error)[:1_000]
        )
    return Tried(outcome=AttemptOutcome.DELIVERED)


def build_message(sender: str, address: str, event: ArmedEvent) -> EmailMessage:
    """Return the message, with the id of the notice as its own. Raises ValueError for a header of several lines."""
    lines, message = read_lines(event.body), EmailMessage()
    message["From"], message["To"], message["Subject"] = sender, address, f"Slipway: {lines[0]}"
    message["Date"], message["Auto-Submitted"] = format_datetime(event.at), "auto-generated"  # RFC 3834
    message["Message-ID"] = f"<{event.id}@{sender.rpartition('@')[2]}>"
    message.set_content("\n\n".join(lines))
    return message


def _send(smtp: Smtp, message: EmailMessage) -> None:
    here, tls = smtp.sender.rpartition("@")[2], ssl.create_default_context()
    connect = partial(smtplib.SMTP_SSL, context=tls) if smtp.security == "tls" else smtplib.SMTP
    with connect(smtp.host, smtp.port, here, timeout=SECONDS) as server:
        if smtp.security == "starttls":
            server.starttls(context=tls)
        if smtp.username and smtp.security != "none":
            server.login(smtp.username, smtp.password.get_secret_value())
        server.send_message(message)
