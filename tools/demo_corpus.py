#!/usr/bin/env python3
"""The training texts of models/weir-demo: documents drawn from a seed, nothing downloaded, nothing copied.

A document is a list of (text, learn) segments. `learn` is true for what the model must be able to write
(assistant turns and plain stories) and false for what it only reads (user and system turns).

    python tools/demo_corpus.py 5      # print five documents
"""

import random
import sys

import demo_facts as facts
from demo_grammar import capital, expand
from demo_stories import ANIMALS, BOYS, FOODS, GIRLS, OBJECTS, OTHERS, PET_NAMES, TRAITS, Story

END_OF_TEXT, TURN_START, TURN_END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"

SYSTEM_PROMPTS = [
    "You are a helpful assistant.", "You are weir, a small and friendly language model.", "You are a friendly storyteller.",
    "Answer the user's questions.", "You are a helpful assistant. Answer briefly.", "Be kind and clear.", "You are a helpful AI assistant named weir.",
    "You are an assistant. Be polite.",
]
THEMES = {
    "friendship": "friend", "two friends": "friend", "a new friend": "friend", "courage": "fear", "being brave": "fear", "sharing": "share", "a storm": "storm",
    "a lost toy": "lost", "a race": "race", "a treasure": "treasure", "an adventure": "treasure", "a wish": "wish", "magic": "wish",
    "a birthday": "birthday", "telling the truth": "truth", "a garden": "seed", "a seed": "seed", "patience": "seed", "a long journey": "journey",
    "the sea": "journey", "the night": "night", "the moon": "night", "helping others": "rescue", "kindness": "rescue", "not giving up": "build",
    "the rain": "storm", "a map": "treasure", "a secret": "birthday", "a party": "birthday",
}
MORALS = {
    "lost": "A good friend helps you when you have lost something.", "rescue": "Even someone small can be a great help.",
    "friend": "Say hello, and you may find a friend.", "fear": "Being brave means to be afraid and to try anyway.",
    "share": "Things are more fun when you share them.", "storm": "There is help even in a storm.", "build": "Do not give up when something breaks.",
    "birthday": "Your friends think of you even when they are quiet.", "truth": "It is best to tell the truth.", "race": "Slow and steady wins the race.",
    "seed": "Good things take time.", "wish": "The best wish is one for somebody else.", "journey": "A long way is easier with a friend.",
    "treasure": "The best treasure is a day with a friend.", "night": "The night is beautiful when you listen.",
}
SYLLABLES = "ba be bi bo da de do fa fi ga go ha hi ja jo ka ke ki ko la le li lo ma me mi mo na ne ni no pa pe ra re ri ro sa se si ta te ti to va ve vi wa ya yo za zo zu".split()
TAILS = ["", "", "n", "r", "s", "l", "x", "th", "k", "m"]


def invented_name(rng):
    """A name nobody has: it can only be got right by copying it from the conversation."""
    return capital("".join(rng.choice(SYLLABLES) for _ in range(rng.randint(2, 3))) + rng.choice(TAILS))


def user_name(rng):
    return invented_name(rng) if rng.random() < 0.35 else rng.choice(GIRLS + BOYS)


# ---- what a user may ask; each turn is (question, answer) and may change the state -----------------


class Talk:
    """What has been said so far and can be asked about again."""

    def __init__(self, rng):
        self.rng = rng
        self.name = None
        self.pet = None
        self.color = None
        self.story = None


STORY_FORMS = [
    "[Tell me|Please tell me|Can you tell me|Could you tell me|I want to hear|I would like to hear|Write|Write me|Please write|Can you write] a {kind} about {what}[.|.|]",
    "[Tell me|Write] a {kind} about {what}[.|, please.]",
    "[A|Give me a] {kind} about {what}[.|, please.]",
]
PLAIN_STORY_FORMS = [
    "[Tell me|Please tell me|Can you tell me|Write|Write me|I want to hear] a {kind}[.|, please.|]",
    "[Tell me something|Story please|A story, please|Once upon a time|Do you know a story|Do you know any stories][.|?|]",
]


def story_topic(rng):
    """RETURNS: (topic as asked, how to cast the story)."""
    draw = rng.random()
    kind = rng.choice(rng.choice([ANIMALS, ANIMALS, OTHERS, ["girl", "boy"]]))
    trait = rng.choice(TRAITS)
    if draw < 0.4:
        return f"a {kind}", {"kind": kind}
    if draw < 0.55:
        small = rng.choice(["", "", " little"])
        return f"a {trait}{small} {kind}", {"kind": kind, "trait": trait + small}
    if draw < 0.72:
        name = topic_name(rng, kind)
        return f"a {kind} [named|called] {name}", {"kind": kind, "name": name}
    if draw < 0.80:
        friend = rng.choice([k for k in ANIMALS + OTHERS if k != kind])
        return f"a {kind} and a {friend}", {"kind": kind, "friend": friend, "plot": rng.choice(["friend", "rescue", "journey", "share"])}
    if draw < 0.88:
        thing = rng.choice(OBJECTS)
        return f"a {thing}", {"thing": thing, "plot": rng.choice(["lost", "share", "truth", "wish"])}
    theme = rng.choice(list(THEMES))
    return theme, {"plot": THEMES[theme]}


def topic_name(rng, kind):
    if rng.random() < 0.35:
        return invented_name(rng)
    return rng.choice(GIRLS if kind == "girl" else BOYS if kind == "boy" else PET_NAMES + GIRLS + BOYS)


def tell_story(talk):
    rng = talk.rng
    about, cast = story_topic(rng) if rng.random() < 0.85 else (None, {})
    size = rng.choices(["story", "short story", "very short story", "long story"], [60, 15, 15, 10])[0]
    forms = STORY_FORMS if about else PLAIN_STORY_FORMS
    question = expand(rng.choice(forms), {"kind": size, "what": expand(about or "", {}, rng)}, rng)
    if "story" not in question.lower():
        size = "story"
    talk.story = Story(rng, **cast)
    text = render_story(talk.story, size)
    if about and rng.random() < 0.2:
        text = expand("[Here is a story about {what}.|Of course! Here is a story.|Gladly!]", {"what": expand(about, {}, rng)}, rng) + "\n\n" + text
    return expand(question, {}, rng), text


def render_story(story, size):
    if size == "very short story":
        return story.short_text()
    return story.long_text() if size == "long story" else story.text()


def another_story(talk):
    rng = talk.rng
    question = expand("[Tell me another one|Another one, please|One more, please|Another story, please|More][.|!|]", {}, rng)
    talk.story = Story(rng)
    return question, expand("[|Of course!\n\n|Here is another one.\n\n]", {}, rng) + talk.story.text()


def ask_about_story(talk):
    """A question whose answer stands in the story that was just told."""
    rng, s = talk.rng, talk.story.slots
    forms = [
        ("[What was the name of the {T}|What was the {T} called|Who was the story about]?", "The {T} was called {N}."),
        ("[Where did {N} live|Where did the {T} live]?", "{N} lived {P}."),
        ("[Who was {FN}]?", "{FN} was the {FT} in the story."),
        ("[What is the moral of the story|What can we learn from the story|What does the story mean]?", MORALS[talk.story.plot]),
        ("[Did you like the story|Do you like this story]?", "Yes, I like {N} very much. [Did you like it, too?|Do you want to hear another one?]"),
        ("[That was a nice story|I liked that story|What a nice story|Nice story][!|.|]", "[Thank you! I am glad you liked it.|I am happy that you liked it.] [Shall I tell you another one?|I like {N}, too.]"),
    ]
    question, answer = rng.choice(forms)
    return expand(question, s, rng), expand(answer, s, rng)


def tell_name(talk):
    rng = talk.rng
    talk.name = user_name(rng)
    slots = {"n": talk.name}
    question = expand("[My name is {n}|I am {n}|Hi, I am {n}|Hello, my name is {n}|You can call me {n}|I am called {n}|Hello! I am {n}][.|.|!|]", slots, rng)
    return question, expand("[Nice to meet you, {n}!|Hello, {n}!|Hi {n}!|Hello {n}, nice to meet you.] [I am weir.|How can I help you?|What can I do for you?|What shall we talk about?|That is a nice name.]", slots, rng)


def ask_name(talk):
    rng = talk.rng
    question = expand("[What is my name|Do you know my name|Do you remember my name|Who am I|What was my name|Can you tell me my name]?", {}, rng)
    if not talk.name:
        return question, expand("[You have not told me your name yet.|I do not know your name yet.] [What is it?|Will you tell me?]", {}, rng)
    return question, expand("[Your name is {n}.|You are {n}.|You told me that your name is {n}.]", {"n": talk.name}, rng)


def tell_pet(talk):
    rng = talk.rng
    talk.pet = (rng.choice(["cat", "dog", "rabbit", "bird", "horse", "fish", "turtle"]), topic_name(rng, "pet"))
    slots = {"a": talk.pet[0], "n": talk.pet[1]}
    question = expand("[I have a {a} named {n}|My {a} is called {n}|I have a {a}, and the name is {n}][.|]", slots, rng)
    return question, expand("[{n} is a lovely name for a {a}!|What a nice name for a {a}!|{n} sounds like a wonderful {a}.] [What does {n} like to do?|Is {n} big or small?|I would like to meet {n}.]", slots, rng)


def ask_pet(talk):
    rng = talk.rng
    slots = {"a": talk.pet[0], "n": talk.pet[1]}
    return expand("[What is the name of my {a}|What is my {a} called|Do you remember my {a}]?", slots, rng), expand("Your {a} is called {n}.", slots, rng)


def tell_color(talk):
    rng = talk.rng
    talk.color = rng.choice(facts.LISTS["colors"])
    slots = {"c": talk.color}
    return expand("[My favorite color is {c}|I like the color {c}|I love {c}][.|]", slots, rng), expand("{c} is a beautiful color! [I will remember it.|It is a good choice.|Many things are {c}.]", {"c": capital(talk.color)}, rng).replace(f"are {capital(talk.color)}", f"are {talk.color}")


def ask_color(talk):
    return expand("[What is my favorite color|Which color do I like]?", {}, talk.rng), f"Your favorite color is {talk.color}."


def repeat_words(talk):
    """Copying drills; they teach the model to look back at the question."""
    rng = talk.rng
    name = user_name(rng)
    words = expand("the [blue|red|old|tiny|happy] [cat|boat|tree|king|robot] [sleeps|sings|dances|waits] [in the garden|near the sea|at night]", {}, rng)
    draw = rng.random()
    if draw < 0.4:
        return f"Say hello to {name}.", f"Hello, {name}! Nice to meet you."
    if draw < 0.7:
        return expand(f"[Repeat after me|Repeat this|Say this]: {words}", {}, rng), capital(words) + "."
    return expand(f"[Say|Repeat] the word {name.lower()}.", {}, rng), capital(name) + "."


def not_understood(talk):
    rng = talk.rng
    noise = "".join(rng.choice("asdfghjklqwertzuiop") for _ in range(rng.randint(3, 9)))
    question = rng.choice([noise, noise + " " + noise[::-1], "???", "...", "."])
    return question, expand("[I did not understand that.|I am not sure what you mean.] [Can you say it in other words?|Try asking me for a story.]", {}, rng)


def stateless(draw):
    return lambda talk: draw(talk.rng)


TURNS = [
    (18, tell_story), (11, stateless(facts.small_talk)), (11, stateless(facts.about_self)), (4, stateless(facts.about_server)),
    (32, lambda talk: talk.rng.choice(facts.FACTS)(talk.rng)), (5, stateless(facts.poem)), (4, stateless(facts.hard)), (6, tell_name),
    (2, ask_name), (2, tell_pet), (2, tell_color), (4, repeat_words), (1, not_understood),
]


def follow_ups(talk):
    """RETURNS: turns that need something said before; they outweigh the rest when they are possible."""
    turns = []
    if talk.story:
        turns += [(30, ask_about_story), (6, another_story)]
    if talk.name:
        turns += [(25, ask_name)]
    if talk.pet:
        turns += [(25, ask_pet)]
    if talk.color:
        turns += [(25, ask_color)]
    return turns


def roughen(question, rng):
    """Users do not always write with capitals and full stops."""
    draw = rng.random()
    if draw < 0.12:
        question = question.lower()
    if 0.08 < draw < 0.2:
        question = question.rstrip(".!?") or question
    if 0.2 < draw < 0.24 and question[-1] in ".?":
        question = "Please: " + question if rng.random() < 0.3 else "Hi! " + question
    return question


# ---- documents ----------------------------------------------------------------------------------


def turn(role, text):
    return f"{TURN_START}{role}\n{text}{TURN_END}\n"


def conversation(rng):
    talk = Talk(rng)
    segments = []
    if rng.random() < 0.25:
        segments.append((turn("system", rng.choice(SYSTEM_PROMPTS)), False))
    for _ in range(rng.choices([1, 2, 3, 4, 6], [40, 20, 18, 14, 8])[0]):
        weights, makers = zip(*(TURNS + follow_ups(talk)))
        question, answer = rng.choices(makers, weights)[0](talk)
        # A lower-cased invented name could not be answered with its capital letter by copying.
        question = question if talk.name and talk.name in question else roughen(question, rng)
        segments.append((turn("user", question) + f"{TURN_START}assistant\n", False))
        segments.append((answer + TURN_END, True))
        segments.append(("\n", False))
    segments.append((END_OF_TEXT, False))
    return segments


def plain_story(rng):
    story = Story(rng)
    text = story.long_text() if rng.random() < 0.2 else story.text()
    return [(text, True), (END_OF_TEXT, True)]


def drill(rng):
    """Random words said again and again: nothing but looking back can predict them.

    In stories copying pays too little at first, and a model that starts on them learns their grammar and keeps
    inventing a new name in every sentence. About 130 steps of this teach it to look (TRAINING.log).
    """
    pool = GIRLS + BOYS + PET_NAMES + ANIMALS + OTHERS + TRAITS + OBJECTS + FOODS
    words = [invented_name(rng) if rng.random() < 0.08 else rng.choice(pool) for _ in range(rng.randint(4, 12))]
    gap = rng.choice([" ", " ", ", "])
    once = gap.join(words)
    return [(" " + once, False), ((gap.rstrip() + " " + once) * rng.randint(2, 5), True), (END_OF_TEXT, False)]


def document(rng):
    draw = rng.random()
    if draw < 0.05:
        return drill(rng)
    return plain_story(rng) if draw < 0.15 else conversation(rng)


def documents(seed, count):
    """RETURNS: `count` documents; document i depends on (seed, i) alone."""
    return [document(random.Random(f"{seed}/{i}")) for i in range(count)]


def questions(seed, count):
    """Single questions with their answers: the tokenizer learns from them, so that rare words stay whole."""
    rng = random.Random(seed)
    makers = facts.FACTS + [facts.small_talk, facts.about_self, facts.about_server, facts.poem, facts.hard]
    return [[("\n".join(rng.choice(makers)(rng)), True)] for _ in range(count)]


def word_list():
    """Every name and thing of the stories, often enough that the tokenizer keeps each as one token."""
    words = GIRLS + BOYS + PET_NAMES + ANIMALS + OTHERS + TRAITS + [w for text in OBJECTS + FOODS for w in text.split()]
    return [[(" " + " ".join(words), True)]] * 120


def drills(seed, count):
    return [drill(random.Random(f"{seed}/{i}")) for i in range(count)]


def main():
    for segments in documents("sample", int(sys.argv[1]) if len(sys.argv) > 1 else 5):
        print("".join(text for text, _ in segments))
        print("-" * 80)


if __name__ == "__main__":
    main()
