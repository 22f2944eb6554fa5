"""Tells tutumwatch that there is such a thing."""

from tutumwatch.notifiers.maker import NotifierMaker

acme_chat = NotifierMaker("acme-chat", "acme_chat")
