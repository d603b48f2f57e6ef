"""What a manifest's `in_doubt` means in words: what becomes of a record whose answer was lost.

One wording for the reasons of deliveries, the pages and the documentation.
"""

#: what the hub does next
AFTER_A_LOST_ANSWER = {
    "native_key": "It is sent again under the same key, which the tool keeps once.",
    "look_up": "The hub looks for it before it creates it again.",
    "may_repeat": "It is sent again, and may then be there twice.",
}
#: added to the reason of a record that is given up, and may have arrived
AFTER_GIVING_UP = {
    "native_key": "It may be there; a replay under the same key makes no second one.",
    "look_up": "It may be there; a replay looks for it before it creates one.",
    "may_repeat": "It may be there; look before you replay it.",
}
#: what the tool makes of a record that comes once more
WHEN_SENT_AGAIN = {
    "native_key": "The tool knows the key and keeps the record once, however often it comes.",
    "look_up": "The tool is searched for the key first; when it is there, nothing is created.",
    "may_repeat": "If an earlier attempt arrived after all, the tool will show it twice.",
}
