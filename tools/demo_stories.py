"""Story grammar of the demo corpus: casts, places and plots.

A plot is a list of paragraphs' worth of sentences in the language of demo_grammar. All slots of one story
come from one cast, so a name, a place or a lost thing stays the same from the first line to the last.
"""

from demo_grammar import capital, expand

GIRLS = (
    "Anna Lily Mia Emma Sara Nora Ella Lucy Rosa Maya Zoe Ruby Clara Ivy Alice Molly Grace Hana Nina Lena Tara Jane Eva "
    "Amy Leah Ada Mary Julia Daisy Olga Iris Vera Penny Kate Sophie Holly Maria Lina Wendy Tess"
).split()
BOYS = (
    "Tom Ben Sam Max Leo Jack Tim Noah Finn Oscar Adam Paul Omar Luke Peter Hugo Ivan Felix Theo Dan Kai Otto Will Henry "
    "Mark Nico Rob Karl Ali Jonas David Simon Toby George Anton Milo Erik Pablo Arun Ken"
).split()
PET_NAMES = (
    "Mimi Biscuit Pip Coco Momo Patch Pepper Ginger Luna Shadow Button Honey Ziggy Bruno Willow Fluffy Rusty Peanut "
    "Snowy Misty Bubbles Hazel Tilly Bella Rocky Sunny Poppy Dot Bean Olive Tuppy Nibbles Lulu Fern Sparky Dusty Clover"
).split()

ANIMALS = (
    "cat dog mouse rabbit fox bear duck frog owl squirrel hedgehog turtle pig sheep goat horse cow chicken bird "
    "elephant lion tiger monkey penguin fish whale dolphin bee snail kitten puppy deer wolf otter donkey crab parrot"
).split()
OTHERS = (
    "robot dragon princess prince king queen knight wizard farmer sailor fisherman baker painter giant ghost fairy pirate witch "
    "mermaid snowman unicorn dinosaur astronaut doctor teacher shepherd gardener clown cloud star"
).split()
SHE = {"princess", "queen", "fairy", "cow", "chicken", "witch", "mermaid"}
HE = {"prince", "king"}

TRAITS = "little small brave kind shy curious happy clever young quiet friendly funny gentle lazy proud lonely tiny".split()
PLACES = [
    "in a small house by the river", "in a green valley", "at the edge of a big forest", "in a quiet village",
    "near the sea", "on a farm", "in a little town", "in an old house on a hill", "next to a blue lake",
    "under a tall oak tree", "at the foot of a mountain", "in a warm little cottage", "beside a busy road",
    "not far from the old mill", "on a small island",
]
GROUNDS = [
    "the forest", "the garden", "the river", "the park", "the beach", "the hill", "the meadow", "the lake", "the old barn",
    "the market", "the field", "the bridge", "the apple trees", "the old mill", "the harbor",
]
OBJECTS = [
    "red ball", "blue kite", "silver key", "little bell", "golden ring", "warm hat", "green scarf", "toy boat", "old map",
    "small drum", "music box", "yellow umbrella", "shiny stone", "picture book", "wooden horse", "glass bead", "tin whistle",
    "paper lantern", "red wagon", "white shell", "brown basket", "little lamp",
]
FOODS = ["apple pie", "warm bread", "honey cake", "vegetable soup", "cookies", "pancakes", "berries", "cheese", "a big cake", "sweet pears"]
ELDERS = ["mother", "father", "grandmother", "grandfather", "aunt", "uncle", "big sister", "big brother"]
FEARS = ["the dark", "the thunder", "deep water", "high places", "the big dog next door", "loud noises", "the old bridge", "the cold wind"]
GOALS = ["the sea", "the top of the mountain", "the moon", "the first snow", "the big city", "a rainbow", "the other side of the lake", "a shooting star"]
BUILDS = ["boat", "kite", "tree house", "little bridge", "bird house", "cart", "sand castle", "snowman", "swing", "windmill"]
TREASURES = ["a box full of old letters", "a bag of seeds", "a golden cup", "a tiny door", "a map of the stars", "a chest of silver coins", "a bottle with a note in it"]
VASES = ["blue vase", "big plate", "kitchen window", "old clock", "big cup", "tall mirror", "garden gate", "little lamp"]
CROPS = ["pumpkin", "sunflower", "apple tree", "carrot", "rose bush", "bean plant", "strawberry plant", "cherry tree"]

OPENINGS = [
    "Once upon a time, there was {D} named {N}. {N} lived {P}.",
    "Once upon a time, {D} named {N} lived {P}.",
    "Once upon a time there was {D} who lived {P}. {His} name was {N}.",
    "There once was {D} called {N}, who lived {P}.",
    "Long ago, {D} named {N} lived {P}.",
    "{N} was {D}. {He} lived {P}.",
    "Once there was {D} named {N} who lived {P} with {his} {M}.",
]
HABITS = [
    "[Every morning|Every day|On most days], {N} [walked|went] to {G} [to play|to look around|to see what was new].",
    "{He} liked [sunny days|long walks|quiet mornings|funny songs|good stories] and {food}.",
    "{N} was [always|often] [cheerful|full of ideas|busy|ready to help], [and everyone liked {him}|and {he} loved to laugh].",
    "{His} best friend was {FD} named {FN}.",
    "{He} loved [to sing|to run|to dream|to ask questions|to look at the clouds] more than anything else.",
    "",
]
HABITS_ALONE = [habit for habit in HABITS if "{FN}" not in habit]
MEETINGS = ("rescue", "friend", "journey", "fear", "storm", "night")  # plots where the friend is new
ENDINGS = [
    "From that day on, {N} and {FN} were best friends.",
    "{N} fell asleep that night with a smile on {his} face.",
    "And they all lived happily ever after.",
    "{N} never forgot that day.",
    "It was the best day {N} had ever had.",
    "And whenever {N} saw {G}, {he} remembered and smiled.",
    "That evening they all ate {food} together and laughed until the stars came out.",
    "{N} went home tired but very happy.",
]

LOST = [
    "{N} had a {O} that {he} loved [very much|more than anything|with all {his} heart]. [It was a gift from {his} {M}.|{He} took it everywhere.]",
    "One [day|morning|afternoon], the {O} was gone. {N} looked [under the bed|behind the door|in every corner], but {he} could not find it.",
    '"[Where can it be|Oh no, where is my {O}|Who has seen my {O}]?" {he} [cried|asked|said sadly].',
    "{He} [went|ran] to {G} and asked {FN} the {FT} for help. \"[Do not worry|Do not cry|Let us look together],\" said {FN}. \"[Two of us will find it faster|We will find it|I am good at finding things].\"",
    "They looked [near|around] {G}, and then they looked [behind the trees|under the leaves|between the stones]. [It took a long time.|The sun was already low.|They almost gave up.]",
    "[Then|Suddenly|At last] {FN} saw [something in the grass|something behind a stone|something bright near the path]. It was the {O}!",
    '"[Thank you|You found it|You are a true friend], {FN}!" said {N}, and {he} [gave {fhim} a big hug|danced with joy|laughed out loud].',
    "[After that, {N} always took good care of the {O}.|{N} let {FN} play with the {O} all afternoon.|{N} learned that a good friend is worth more than any {O}.]",
]
RESCUE = [
    "One [day|rainy morning|windy afternoon], {N} was walking near {G} when {he} heard a [small|soft|sad] voice. \"[Help!|Please help me!|Is anybody there?]\" it called.",
    "{N} looked [around|up|down] and saw {FD}. {FHis} name was {FN}, and {fhe} was stuck [in the mud|between two rocks|in a thorn bush|high up in a tree].",
    '"[How did you get there|What happened|Are you hurt]?" asked {N}. "[I wanted to see the view|I followed a butterfly|I was not careful]," said {FN}, "and now I cannot get [out|away]."',
    "{N} was [a little afraid|not very strong|not sure what to do], but {he} wanted to help. {He} [found a long stick|took a rope|called {his} {M}] and [pulled as hard as {he} could|tried again and again|worked slowly and carefully].",
    "[At last|After a while|With one more pull], {FN} was free. {FHe} [shook the dirt off|took a deep breath|jumped up and down] and said, \"[You saved me!|Thank you, {N}!|How can I ever thank you?]\"",
    '"[You do not have to|It was nothing|I am glad you are safe]," said {N}. "[Will you be my friend|Are you hungry|Shall we go home together]?"',
    "{FN} [smiled|nodded|was very happy], and they [shared|ate] {food} [under a tree|in the sun|by the fire].",
    "[{N} learned that even a small {T} can do a big thing.|Kindness is never too small.|The next day, {FN} came back with a {O} as a gift.]",
]
FRIEND = [
    "But {N} was [lonely|sometimes sad], because {he} had nobody to play with.",
    "One [day|morning|evening], {he} met {FD} at {G}. \"[Hello|Hi|Good day],\" said {N}. \"[I am {N}|My name is {N}]. Who are you?\"",
    '"I am {FN}," said the {FT}. "[I am new here|I just came to this place|I do not know anyone yet]."',
    '"[Then let us play!|Do you want to play with me?|Come, I will show you {G}!]" said {N}. [{FN} was shy at first, but then {fhe} smiled.|{FN} jumped with joy.]',
    "They played with a {O} [all day|until the sun went down|for hours]. [They laughed so much that they had to sit down.|They ran, they sang, and they told each other jokes.]",
    "When they were [hungry|tired], they [sat down and shared|went home and ate] {food}.",
    '"[Will you come back tomorrow|Can we play again]?" asked {FN}. "[Of course|Yes, every day|I promise]," said {N}.',
    "[{N} was not lonely anymore.|Now {N} had a friend, and everything was more fun.|A friend makes every day brighter.]",
]
FEAR = [
    "{N} had one secret: {he} was afraid of {fear}.",
    "[All the others|{His} friends] [laughed and played|were not afraid], but {N} [stayed at home|hid behind {his} {M}|stood far away].",
    "One [evening|day|night], {he} heard {FN} the {FT} call for help from {G}. [There was nobody else around.|Everyone else was asleep.]",
    "To get there, {N} had to face {fear}. {His} heart [beat fast|was like a drum], and {his} legs [shook|felt weak].",
    '"[I can do this|One step at a time|I must be brave]," {he} [whispered|said to {himself}]. {He} [took a deep breath|closed {his} eyes for a moment|thought of {his} friend] and went on.',
    "[Step by step|Slowly|Little by little], {he} came closer, and [at last|soon] {he} found {FN}. \"[You came|I knew you would come]!\" said {FN}. \"[You are so brave|I was so scared alone].\"",
    '"[I was scared too|My legs are still shaking]," said {N}, "but [you needed me|a friend is more important than fear]." Together they walked home.',
    "[{His} {M} was very proud.|Everyone clapped when they came back.] {N} learned that being brave means to be afraid and to try anyway.",
]
SHARE = [
    "One day, {N} got a [beautiful|wonderful|brand new] {O}. [It was the best thing {he} had ever had.|{He} was so proud of it.]",
    "{FN} the {FT} came by and said, \"[What a nice {O}|That is a lovely {O}]! May I [try it|hold it|play with it]?\"",
    '"No," said {N}. "[It is mine|You might break it|I do not want to share]." {FN} [was sad and went away|looked down and walked home|said nothing and left].',
    "{N} played alone with the {O}. [At first it was fun.|{He} tried to laugh.] But soon {he} felt [bored|lonely|a little sad]. [A {O} is not much fun when you are alone.|There was nobody to laugh with.]",
    "{He} asked {his} {M} what to do. \"[When you share, the fun grows|A thing is small, but a friend is big|Share it, and you will see]\", said {his} {M}.",
    "So {N} [ran|walked] to {G} and found {FN}. \"[I am sorry|I was not kind|Please forgive me],\" {he} said. \"[Let us play together|You can have the first turn].\"",
    "{FN} [smiled|was happy again], and they [took turns|played until it was dark|had a wonderful afternoon].",
    "[{N} found out that sharing makes everything better.|Since then, {N} shares all {his} things.|The {O} was even more fun with two.]",
]
STORM = [
    "One [day|afternoon], {N} [walked farther than ever before|went to {G} alone|followed a butterfly into the woods].",
    "[Suddenly|Then|After an hour] the sky turned [dark|gray], and a storm began. The wind [blew|howled], and the rain [fell hard|came down].",
    "{N} could not see the path. \"[Am I lost|Which way is home|What shall I do now]?\" {he} [thought|said].",
    "Then {he} saw a [small|warm|yellow] light between the trees. It came from the house of {FN} the {FT}.",
    '"[Come in, come in|You are all wet|You poor thing]!" said {FN}. "[Sit by the fire|Here is a warm blanket|I will make some tea]."',
    "{FN} gave {him} {food}, and they told each other stories [while the storm passed|until the rain stopped|while the wind sang outside].",
    "In the morning the sun was [shining|bright] again. {FN} [walked with {him}|showed {him} the way] to {G}, and there was {his} {M}, [who had looked for {him} all night|with open arms].",
    "[\"Next time I will tell you where I go,\" said {N}.|{N} promised to be more careful.|{N} knew now that there is a light somewhere in every storm.]",
]
BUILD = [
    "{N} wanted to build a {build}. [Nobody in the village had ever built one.|{He} had seen one in a book.|It had been {his} dream for a long time.]",
    "{He} found some [wood|paper|old boards] and [a rope|some nails|a bit of string] near {G} and worked [all morning|the whole day|very hard].",
    "But when it was done, [a strong wind came and|it was not strong enough, and] it [broke|fell apart]. {N} [sat down and cried|was very sad|wanted to give up].",
    "{FN} the {FT} saw it. \"[Do not give up|Try again|Everything is hard at first],\" {fhe} said. \"[I will help you|Two can do more than one].\"",
    "This time they [made a plan first|measured everything twice|worked slowly]. {FN} [held the pieces|brought better wood], and {N} [tied them together|put them in the right place].",
    "[In the evening|The next day|After three days] the {build} was ready. [It was strong and beautiful.|It was even better than the first one.]",
    '"[We did it|Look at it|It works]!" {he} shouted, and {FN} [laughed|cheered|clapped].',
    "[{N} learned that a mistake is only the first step.|{His} {M} came to see it and was very proud.|Everyone in the village wanted to see the {build}.]",
]
BIRTHDAY = [
    "It was {his} birthday, but when {N} woke up, [the house was quiet|nobody said a word about it].",
    "{He} went to {G} to find {FN} the {FT}, but {FN} said, \"[Sorry, I am busy today|I have no time now|I must go].\" And {fhe} hurried away.",
    "[Even {his} {M} was not at home.|{N} asked everyone, but all of them were busy.] \"[They all forgot my birthday|Nobody remembers me],\" thought {N}, and {he} felt [sad|very alone].",
    "{He} walked [around|slowly] all afternoon. When it got dark, {he} came home and opened the door.",
    '"Surprise!" [everyone|all {his} friends] shouted. There were [lights|flowers|balloons] everywhere, and on the table they had put {food}.',
    "{FN} gave {him} a {O}. \"[We had to keep it a secret|I was busy because of this],\" {fhe} said and smiled.",
    "{N} [laughed and cried at the same time|did not know what to say|hugged everyone]. \"[Thank you|This is the best birthday ever]!\" {he} said.",
    "[They danced and sang until late at night.|{N} made a wish and blew out the candles.|And the wish had already come true.]",
]
TRUTH = [
    "One [day|afternoon], {N} played with a {O} [inside the house|near the house], although {his} {M} had said not to.",
    "[Crash|Bang]! The {O} hit the {vase}, and the {vase} broke [into many pieces|in two].",
    "{N} was [scared|afraid]. \"[Nobody saw me|I could say it was the wind|Perhaps they will be angry],\" {he} thought, and {he} hid [under the table|behind the door|at {G}].",
    "{FN} the {FT} found {him} there. \"[Why do you hide|Why are you so sad]?\" asked {FN}. So {N} told {fhim} everything.",
    '"[Tell the truth|Go home and say what happened]," said {FN}. "[It is hard for a minute, but then it is over|A lie gets heavier every day|You will feel better]."',
    "{N} went home [slowly|with a heavy heart]. \"I broke the {vase},\" {he} said. \"[I am so sorry|It was my fault].\"",
    "{His} {M} [was quiet for a moment|looked at {him}] and then [smiled|gave {him} a hug]. \"[Thank you for telling me|I am glad you told the truth]. [We can fix it together|A {vase} is only a thing].\"",
    "[They fixed the {vase} with glue, and {N} felt light again.|{N} learned that the truth is the best way.|That night {N} slept very well.]",
]
RACE = [
    "One day there was a big race [from {G} to the old bridge|around {G}]. [Everyone wanted to win.|The prize was a {O}.]",
    "{FN} the {FT} was very fast. \"[I will win|Nobody can beat me|This will be easy],\" {fhe} said [proudly|and laughed].",
    "{N} was not fast at all, but {he} [wanted to try|liked to try new things]. \"[I will do my best|We will see],\" {he} said.",
    '"[Ready, set, go|One, two, three, go]!" They started. {FN} ran [far ahead|like the wind] and soon {fhe} could not see {N} anymore.',
    "[So {FN} sat down to rest and fell asleep under a tree.|Then {FN} stopped to eat berries, and {fhe} forgot the time.] {N} went on, [step by step|slowly but surely].",
    "When {FN} [woke up|looked up], {N} was already close to the end. {FN} ran as fast as {fhe} could, but it was too late.",
    '"[You won!|How did you do that?]" said {FN}. "[I just did not stop|I only kept going]," said {N} [and smiled|kindly].',
    "[They shared the prize and ate {food} together.|{FN} learned not to be so proud.|Slow and steady wins the race.]",
]
SEED = [
    "One spring morning, {N} found a [tiny|small brown] seed near {G}. {He} put it into the earth and [gave it water|said, \"Grow well, little seed\"].",
    "[The next day|After one day] {he} came to look, but there was nothing. [The day after, there was still nothing.|\"Why does it not grow?\" {he} asked.]",
    '"[You must be patient|Good things take time|Wait a little longer]," said {FN} the {FT}. "[Give it water and sun|It is busy under the ground]."',
    "So {N} came every day. {He} [sang to it|told it stories], gave it water, and waited.",
    "[After two weeks|One sunny morning|At last] there was a small green leaf. {N} [jumped for joy|ran to tell {FN}|could not believe it].",
    "The plant grew and grew, [week after week|in sun and rain], until it was a big {crop}. [Everyone came to see it.|Even the birds came to look.]",
    "{N} [gave some of it to {FN}|shared it with everyone|made {food} for all {his} friends].",
    "[{N} learned that patience makes things grow.|And in a box at home {N} kept new seeds for the next year.|\"You were right,\" said {N}, \"good things take time.\"]",
]
WISH = [
    "One [evening|night|day], {N} found a [strange|shining|very old] {O} near {G}. When {he} touched it, it began to [glow|hum|shine].",
    '"You have one wish," said a [soft|tiny|friendly] voice. "[Think well|Choose well|Take your time]."',
    "{N} thought about [gold|a castle|a mountain of {food}]. {He} thought about [being very strong|being able to fly|being the king of everything].",
    "Then {he} saw {FN} the {FT}, who was [sick|sad|cold] and [sat alone|could not play].",
    '"I wish that {FN} is [well|happy] again," said {N}. The {O} [shone brightly once|made a sound like a bell] and then it was [dark|quiet].',
    "{FN} [jumped up|opened {fhis} eyes] and [laughed|smiled]. \"[I feel wonderful!|What happened?]\" {fhe} said. \"[Did you do that?|It is like magic!]\"",
    "{N} [only smiled|told {fhim} everything]. [They played together until the moon was high.|{FN} gave {him} the biggest hug in the world.]",
    "[The best wish is the one you make for somebody else.|{N} had no gold and no castle, but {he} was the happiest {T} in the world.|{N} never needed another wish.]",
]
JOURNEY = [
    "{N} had a dream: {he} wanted to see {goal}. [Everyone said it was too far.|\"It is far away,\" said {his} {M}, \"but you can try.\"]",
    "So one [morning|day], {he} packed {food} and a {O} and started to walk. [The sun was warm, and the birds were singing.|The road was long and empty.]",
    "At {G} {he} met {FD} named {FN}. \"Where are you going?\" asked {FN}. \"I want to see {goal},\" said {N}. \"[Come with me!|Do you want to come along?]\"",
    "They walked [for many days|over hills and through valleys|day and night]. When it rained, they [sat under a big leaf|sang songs]. When they were hungry, they shared {food}.",
    "Once {FN} wanted to turn back. \"[I am so tired|It is too far],\" {fhe} said. \"[Just a little more|We are almost there],\" said {N}, and {he} [took {fhis} bag|held {fhis} hand].",
    "And then, one evening, they saw it: {goal}. [It was more beautiful than they had thought.|They were both very quiet.|They sat down and looked for a long time.]",
    '"[It was worth every step|I am glad we did not turn back]," said {FN}. "[The best part was to walk with you|I will never forget this]," said {N}.',
    "[When they came home, they had many stories to tell.|{N} knew that every long way begins with one step.|And the next year they went to see something new.]",
]
TREASURE = [
    "One [rainy|quiet|sunny] day, {N} found an old map [in a book|under the floor|in a bottle]. On the map there was a red cross near {G}.",
    "{He} showed it to {FN} the {FT}. \"[A treasure|This is an adventure]!\" said {FN}. \"[Let us go right now!|When do we start?]\"",
    "They [took a lamp and a rope|packed {food}] and followed the map. First they went [over the bridge|through the tall grass], then they went [past the big stone|along the stream].",
    "At the red cross they began to dig. [They dug for an hour.|The ground was hard.] [\"Maybe there is nothing here,\" said {FN}.|{N} was almost too tired to go on.]",
    "Then they hit something hard. It was {treasure}! [They looked at it with big eyes.|They could not believe their luck.]",
    '"[What shall we do with it|Who put it here]?" asked {FN}. "[Let us show it to everyone|Let us share it with the whole village]," said {N}.',
    "So they [carried it home|took it to the village], and everybody [came to look|was happy]. [{His} {M} made {food} for them.|They told the story again and again.]",
    "[But {N} thought that the real treasure was the day with {FN}.|Since then, {N} looks into every old book.|They put the map back for somebody else to find.]",
]
NIGHT = [
    "One night, {N} could not sleep. The moon was [big and round|bright], and the house was very quiet.",
    "{He} went to the window and looked at the stars. \"[Are you awake too|Who else is awake]?\" {he} [asked|whispered].",
    '"I am," said a voice. It was {FN} the {FT}, who sat outside [on the wall|in the grass]. "[I like the night|Come out and listen]."',
    "They sat together and listened. They heard [the wind in the trees|the river|an owl far away], and [a frog|a cricket] that sang its song.",
    '"[In the day I never hear this|I did not know the night is so beautiful]," said {N}. "[You only have to be quiet|The night has its own music]," said {FN}.',
    "They counted the stars, [one by one|until they could not count anymore]. {N} [yawned|felt warm and sleepy].",
    '"Good night, {FN}," said {N}. "Good night, {N}," said {FN}. "[Sleep well|Dream of something nice|See you tomorrow]."',
    "[Soon {N} was fast asleep, and {he} dreamed of {goal}.|And the moon watched over the house until the morning came.|Since then, {N} is not sad when {he} cannot sleep.]",
]
PLOTS = {
    "lost": LOST, "rescue": RESCUE, "friend": FRIEND, "fear": FEAR, "share": SHARE, "storm": STORM, "build": BUILD,
    "birthday": BIRTHDAY, "truth": TRUTH, "race": RACE, "seed": SEED, "wish": WISH, "journey": JOURNEY,
    "treasure": TREASURE, "night": NIGHT,
}


def pick_character(rng, kind=None):
    """RETURNS: (kind, name, is_she); the kind is an animal, a profession, `girl` or `boy`."""
    if kind is None:
        kind = rng.choice(rng.choice([ANIMALS, ANIMALS, ["girl", "boy"], OTHERS]))
    she = kind == "girl" or kind in SHE or (kind not in HE and kind != "boy" and rng.random() < 0.5)
    pool = PET_NAMES if kind in ANIMALS and rng.random() < 0.7 else (GIRLS if she else BOYS)
    return kind, rng.choice(pool), she


def pronouns(she, prefix=""):
    he, him, his = ("she", "her", "her") if she else ("he", "him", "his")
    p = prefix.upper() if prefix else ""
    names = {f"{prefix}he": he, f"{prefix}him": him, f"{prefix}his": his}
    names.update({f"{p}He": capital(he), f"{p}His": capital(his)})
    return names


class Story:
    """One cast and the text told with it; follow-up questions read `slots`."""

    def __init__(self, rng, kind=None, name=None, plot=None, thing=None, trait=None, friend=None):
        self.rng = rng
        kind, default_name, she = pick_character(rng, kind)
        if name:
            she = name in GIRLS
        friend_kind, friend_name, friend_she = self.other_than(kind, name or default_name, friend)
        trait = trait or rng.choice(TRAITS + [""] * 4)
        self.slots = {
            "N": name or default_name, "T": kind, "D": f"a {trait} {kind}", "FN": friend_name, "FT": friend_kind,
            "FD": f"a {rng.choice(TRAITS)} {friend_kind}", "P": rng.choice(PLACES), "G": rng.choice(GROUNDS),
            "O": thing or rng.choice(OBJECTS), "food": rng.choice(FOODS), "M": rng.choice(ELDERS), "fear": rng.choice(FEARS),
            "goal": rng.choice(GOALS), "build": rng.choice(BUILDS), "treasure": rng.choice(TREASURES),
            "vase": rng.choice(VASES), "crop": rng.choice(CROPS), "himself": "herself" if she else "himself",
            **pronouns(she), **pronouns(friend_she, "f"),
        }
        self.plot = plot or rng.choice(list(PLOTS))

    def other_than(self, kind, name, friend_kind):
        while True:
            friend = pick_character(self.rng, friend_kind)
            if friend[0] != kind and friend[1] != name:
                return friend

    def lines(self, plot):
        """RETURNS: the sentences of one plot."""
        return [expand(line, self.slots, self.rng) for line in PLOTS[plot]]

    def text(self):
        """RETURNS: a whole story in two to four paragraphs."""
        rng = self.rng
        habit = rng.choice(HABITS if self.plot not in MEETINGS else HABITS_ALONE)
        opening = expand(rng.choice(OPENINGS) + " " + habit, self.slots, rng)
        body = self.lines(self.plot)
        cut = rng.randint(2, 3)
        ending = expand(rng.choice(ENDINGS[:-1]), self.slots, rng) if rng.random() < 0.4 else ""
        parts = [opening + " " + " ".join(body[:cut]), " ".join(body[cut:-2]), " ".join(body[-2:]) + " " + ending]
        joiner = "\n\n" if rng.random() < 0.7 else " "
        return joiner.join(p.strip() for p in parts)

    def long_text(self):
        """RETURNS: a story with a second adventure of the same cast."""
        rng = self.rng
        second = rng.choice([p for p in PLOTS if p not in (self.plot, "friend", "rescue", "journey")])
        bridge = expand("[A few days later, something else happened.|But that was not the end of the story.|The next week brought a new adventure.]", self.slots, rng)
        self.slots["O"] = rng.choice([o for o in OBJECTS if o != self.slots["O"]])
        ending = expand(rng.choice(ENDINGS), self.slots, rng)
        body = self.lines(second)
        return self.text() + "\n\n" + bridge + " " + " ".join(body[:4]) + "\n\n" + " ".join(body[4:]) + " " + ending

    def short_text(self):
        """RETURNS: three or four sentences."""
        rng = self.rng
        body = [expand(line, self.slots, rng) for line in rng.choice(SHORTS)]
        return expand(rng.choice(OPENINGS[:6]), self.slots, rng) + " " + " ".join(body)


SHORTS = [
    ["One day {he} found a {O} near {G}.", "{He} gave it to {FN} the {FT}, who [was very happy|smiled all day].", "From then on they were friends."],
    ["{He} was afraid of {fear}.", "But one night {he} had to help {FN} the {FT}, and {he} forgot to be afraid.", "Everyone was proud of {him}."],
    ["{He} wanted to see {goal}.", "{FN} the {FT} went with {him}, and after a long walk they were there.", "They sat down, ate {food} and were happy."],
    ["One day it rained so hard that {he} could not go out.", "So {he} invited {FN} the {FT}, and they ate {food} and told stories.", "It was the best rainy day ever."],
    ["{He} lost {his} {O} near {G}.", "{FN} the {FT} helped {him} to look for it, and soon they found it.", '"Thank you," said {N}, and they went home together.'],
]
