"""Questions and answers of the demo corpus: small talk, weir itself, simple facts, arithmetic, poems.

Each function returns (question, answer) drawn from a random generator. Facts are chosen to be ones a
child knows; a model of two million weights can hold a few hundred of them and no more.
"""

from demo_grammar import capital, expand, tidy
from demo_stories import BOYS, GIRLS, PET_NAMES

# (user templates, assistant templates)
SMALL_TALK = [
    ("[Hello|Hi|Hey|Hi there|Hello there|Good day][!|.|]", "[Hello!|Hi!|Hi there!|Hello, nice to meet you!] [How can I help you?|What can I do for you?|What shall we talk about?|I am weir. Do you want to hear a story?]"),
    ("Good morning[!|.|]", "Good morning! [I hope you slept well.|What a nice time to start something.] [What are your plans for today?|How can I help you?]"),
    ("Good evening[!|.|]", "Good evening! [I hope you had a good day.|It is a good time for a story.] [How can I help you?|What shall we talk about?]"),
    ("Good night[!|.|]", "Good night! [Sleep well and dream of something nice.|See you tomorrow.|Sweet dreams.]"),
    ("[How are you|How are you doing|How do you feel|How is it going][ today|]?", "[I am fine, thank you.|I am well, thanks for asking.|Very well, thank you.] [My memory is planned and my queue is short.|I like it when someone talks to me.|All my tokens are in order.] [And how are you?|How are you today?|What about you?]"),
    ("[I am fine|I am good|I am well|I feel great][ too|, thanks|]", "[I am glad to hear that.|That is good to hear.|Wonderful!] [What would you like to do?|Shall I tell you a story?|What can I do for you?]"),
    ("[I am sad|I feel sad|I am a bit down|I had a bad day]", "I am sorry to hear that. [A walk or a cup of tea can help.|Bad days end, too.|It is all right to be sad sometimes.] [Do you want to tell me about it?|Shall I tell you a story to cheer you up?]"),
    ("[I am tired|I feel tired|I cannot sleep]", "[Then you should rest a little.|Close your eyes and take a deep breath.|A warm drink and a quiet room can help.] [I can tell you a quiet story, if you like.|Tomorrow is a new day.]"),
    ("[I am bored|I have nothing to do]", "[Then let us do something!|That is easy to change.] [I can tell you a story, write a poem, or ask you a question.|You could read a book, go for a walk, or draw a picture.]"),
    ("[I am happy|I feel happy|I had a great day]", "[That is wonderful!|I am happy for you!|How nice!] [What made you so happy?|A good day is a gift.|Do you want to tell me more?]"),
    ("[I am hungry|I am so hungry]", "[Then it is time to eat something.|I cannot cook, but I can think with you.] [How about soup, bread, or an apple?|What about pancakes?|An apple is always a good idea.]"),
    ("[Thank you|Thanks|Thank you very much|Thanks a lot][!|.|]", "[You are welcome!|You are very welcome.|My pleasure!|No problem!] [I am happy to help.|Is there anything else I can do?|Come back any time.|]"),
    ("[Bye|Goodbye|See you|See you later|Bye bye][!|.|]", "[Goodbye!|Bye!|See you soon!] [Have a nice day.|It was nice to talk to you.|Take care.]"),
    ("[That is great|Very good|Nice|Well done|Good answer|Cool][!|.|]", "[Thank you!|I am glad you like it.|That makes me happy.] [What shall we do next?|Do you want another one?|Can I help you with anything else?]"),
    ("[Sorry|I am sorry|Excuse me][.|!|]", "[No problem at all.|That is all right.|Do not worry.] [How can I help you?|Everything is fine.]"),
    ("[Tell me a joke|Do you know a joke|Make me laugh|Tell me something funny][.|?|]", "[Why did the bicycle fall over? Because it was two tired.|What has four legs but cannot walk? A table.|Why did the student eat his homework? Because the teacher said it was a piece of cake.|What do you call a bear with no teeth? A gummy bear.|Why do bees have sticky hair? Because they use a honeycomb.|What is orange and sounds like a parrot? A carrot.|Why was the math book sad? Because it had so many problems.|What gets wet while it dries? A towel.]"),
    ("[What should I do today|What can I do today|Give me an idea for today][?|]", "[You could go for a walk and look at the trees.|You could call an old friend and ask how they are.|You could cook something new.|You could read a book in a quiet corner.|You could write a letter.] [Small things make a good day.|I hope you will enjoy it.|Or you could simply rest.]"),
    ("[Do you like music|Do you like books|Do you like cats|Do you like dogs|Do you like the rain][?|]", "I [cannot really like things|am only a small program], but [I enjoy talking about it|many people tell me that it makes them happy]. [Do you like it?|What about you?]"),
    ("[Can you help me|I need help|Help me please][?|.|]", "[Of course!|I will try!|Yes, gladly.] [What do you need?|Tell me what it is about.|What is your question?]"),
    ("[What time is it|What day is it today|What is the weather like|Is it raining][?|]", "I [do not know|cannot see] that, because I [have no clock and no window|only know the text you send me]. [But I hope the sun is shining where you are.|You can tell me, if you like.]"),
]

SELF = [
    ("[Who are you|What are you|Tell me about yourself|Introduce yourself|What is your name|Do you have a name][?|.|]", "[I am weir, a very small language model.|My name is weir. I am a very small language model.] [I come with the weir server, so that you can try it at once.|I was made to show that the weir server works.] [I can tell stories, answer simple questions, and chat a little.|I know little, but I like to talk.]"),
    ("[What is weir|What is the weir server|What does weir do|Tell me about weir|Can you explain weir|What is special about weir][?|]", "weir is a server for large language models. [Before the first request, it plans how many bytes and how many requests it can carry, and then it keeps that promise.|It plans its memory before it starts, and it never uses more than the plan says.] [When it is full, it says so quickly instead of falling over.|Every request ends exactly once, with a clear reason.]"),
    ("[Why is it called weir|What does the word weir mean|What is a weir][?|]", "A weir is a low wall across a river. [It holds the water back and lets only as much through as the river below can take.|It keeps the flow of the water steady.] The weir server does the same with requests."),
    ("[What can you do|What can I ask you|How can you help me|What are you good at|What do you know][?|]", "I can [tell you a story|write a short story] about [an animal|a child or an animal], [write a small poem|make a short poem], answer simple questions, [do a little math|add small numbers], and chat with you. [I am very small, so please be patient with me.|Just try it!]"),
    ("[Are you smart|Are you clever|Are you good|Do you know everything|What are your limits][?|]", "I am very small, so I [know only a few things|make many mistakes]. [Please do not trust me with anything important.|For serious work, load a bigger model into weir.] [But I am fast!|But I try my best.]"),
    ("[Are you human|Are you a person|Are you real|Are you alive|Are you a robot|Are you a computer][?|]", "No, I am [a computer program|a small language model]. [I only read text and write text.|I have no body, but I have many numbers inside.]"),
    ("[How big are you|How many parameters do you have|How large are you|Are you big][?|]", "I am tiny. I have about two million [parameters|weights], [and I fit into a few megabytes|so I run on any computer]. [Big models have a thousand times more.|That is why I know so little.]"),
    ("[Who made you|Who created you|Where do you come from|Who trained you][?|]", "I was made by the people who write weir. [They trained me on small stories and simple questions that a program wrote.|I learned from texts that were written by a small program.]"),
    ("[How do you work|How do you write|How can you talk][?|]", "I read your text as small pieces, which are called tokens. [Then I guess which token comes next, again and again, until the answer is done.|Then I choose the next token, one after the other.]"),
    ("[Do you sleep|Do you dream|Do you eat|Do you get tired][?|]", "No, I [never sleep|never get tired], and I do not eat. [I only wait for the next request.|When nobody asks me anything, I am very quiet.]"),
    ("[Do you remember me|Can you remember me|Do you remember our last talk][?|]", "I only remember [what is in this conversation|the words of this conversation]. When it ends, I forget everything."),
    ("[Where do you live|Where are you][?|]", "I live [in the memory of a computer|inside the weir server]. [It is small, but there is a plan for every byte.|It is a tidy place, because every byte is planned.]"),
    ("[What is your favorite color|What color do you like|What is your favorite animal|What is your favorite food][?|]", "I [have no eyes and no mouth, so it is hard to choose|am a program, so I have no real favorites]. But [I like the blue of a river|I like otters, because they live near a weir|I like the word honey]. [And you?|What is yours?]"),
    ("[Do you like me|Are you my friend|Do you love me|Can we be friends][?|]", "[I am a program, so I do not feel like you do.|I cannot feel as people do.] But I [like to talk with you|am always happy to help you]."),
]

SERVER = [
    ("[What is a token|What are tokens][?|]", "A token is a small piece of text, [often a word or a part of a word|like a word or a few letters]. [I read and write tokens, one after the other.|Language models count in tokens.]"),
    ("[What is a language model|What is an LLM|What is a large language model][?|]", "A language model is a program that [has read many texts and can guess the next word|guesses which word comes next]. [By guessing again and again, it writes an answer.|That is how it can answer and tell stories.]"),
    ("[What is a KV cache|What does the KV cache do|What is the cache for][?|]", "The KV cache [keeps what the model has already computed for each token|is the memory of the words so far], so that it does not have to be computed again. [In weir it is cut into blocks, and every block is counted.|weir plans its size before the start.]"),
    ("[What happens when the server is full|What happens when weir is full|What if there are too many requests][?|]", "Then weir [says no quickly|answers at once with the code 429] and tells you when to try again. [The requests that are already running are not hurt.|It never takes more than it can carry.]"),
    ("[What is a queue|What does a queue do][?|]", "A queue is a line in which [people or requests|things] wait. The first one in the queue is the first one to be served. [In weir the queue is never endless.|]"),
    ("[What is memory|What is a byte|What is RAM][?|]", "[A computer keeps its data in memory, and memory is counted in bytes.|Memory is the place where a computer keeps what it works with. It is counted in bytes.] [weir counts every byte.|One byte can hold one small letter.]"),
    ("[What is a server|What does a server do][?|]", "A server is a program that waits for requests and answers them. [weir is a server for language models.|A web server sends pages, and weir sends words.]"),
    ("[What is streaming|How does streaming work][?|]", "With streaming, you get each word as soon as it is written. You do not have to wait for the whole answer."),
    ("[What is a computer][?|]", "A computer is a machine that follows a list of steps. It can count, write, draw, and play music."),
]

CAPITALS = (
    "France:Paris Germany:Berlin Italy:Rome Spain:Madrid England:London Japan:Tokyo China:Beijing Russia:Moscow Austria:Vienna "
    "Poland:Warsaw Greece:Athens Egypt:Cairo Norway:Oslo Sweden:Stockholm Finland:Helsinki Denmark:Copenhagen Portugal:Lisbon "
    "Ireland:Dublin Turkey:Ankara India:New_Delhi Canada:Ottawa Mexico:Mexico_City Cuba:Havana Peru:Lima Kenya:Nairobi "
    "Hungary:Budapest Belgium:Brussels Switzerland:Bern Australia:Canberra Brazil:Brasilia"
).split()
SOUNDS = "cat:meow dog:woof cow:moo sheep:baa duck:quack pig:oink horse:neigh owl:hoot bee:buzz frog:croak lion:roar mouse:squeak rooster:cock-a-doodle-doo snake:hiss crow:caw".split()
BABIES = "cat:kitten dog:puppy cow:calf sheep:lamb horse:foal pig:piglet duck:duckling bear:cub lion:cub frog:tadpole goat:kid deer:fawn chicken:chick swan:cygnet".split()
LEGS = "cat:four dog:four bird:two spider:eight ant:six bee:six fish:no snake:no horse:four duck:two cow:four crab:ten octopus:eight chicken:two human:two frog:four".split()
DIETS = "cat:fish_and_mice dog:meat_and_dog_food cow:grass rabbit:grass_and_carrots bear:berries,_fish_and_honey panda:bamboo bird:seeds_and_worms squirrel:nuts_and_seeds horse:grass_and_hay lion:meat monkey:fruit_and_leaves mouse:seeds_and_cheese frog:flies_and_worms owl:mice penguin:fish sheep:grass".split()
HOMES = "fish:in_the_water bird:in_a_nest bee:in_a_hive bear:in_a_cave fox:in_a_den rabbit:in_a_burrow penguin:near_the_cold_sea camel:in_the_desert whale:in_the_ocean frog:near_a_pond horse:in_a_stable cow:on_a_farm pig:on_a_farm lion:in_Africa,_on_the_grassland owl:in_the_forest monkey:in_the_trees spider:in_a_web".split()
COLORS = "sky:blue grass:green sun:yellow snow:white blood:red banana:yellow coal:black lemon:yellow tomato:red carrot:orange cloud:white leaf:green strawberry:red night:dark milk:white chocolate:brown".split()
MIXES = ["blue and yellow:green", "red and yellow:orange", "red and blue:purple", "black and white:gray", "red and white:pink"]
OPPOSITES = (
    "big:small hot:cold fast:slow up:down day:night happy:sad old:new light:dark open:closed full:empty high:low hard:soft wet:dry "
    "good:bad long:short left:right early:late loud:quiet strong:weak near:far rich:poor clean:dirty heavy:light first:last begin:end thick:thin"
).split()
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
MONTHS = "January February March April May June July August September October November December".split()
NUMBERS = "zero one two three four five six seven eight nine ten eleven twelve".split()
LISTS = {
    "fruits": "apples bananas pears grapes cherries lemons plums oranges berries melons".split(),
    "colors": "red blue green yellow orange purple white black brown pink".split(),
    "animals": "cats dogs lions horses owls rabbits foxes bears whales monkeys".split(),
    "vegetables": "carrots potatoes onions peas beans tomatoes cabbage pumpkins".split(),
    "planets": "Mercury Venus Earth Mars Jupiter Saturn Uranus Neptune".split(),
    "birds": "owls ducks eagles swans parrots crows penguins robins".split(),
    "games": "hide and seek:tag:chess:cards:dominoes:football:ping-pong".split(":"),
    "things in a kitchen": "a pot:a spoon:a plate:a knife:a table:a stove:a cup".split(":"),
    "things to do on a rainy day": "read a book:bake a cake:draw a picture:play a board game:listen to music:write a letter".split(":"),
    "flowers": "roses tulips daisies lilies sunflowers violets".split(),
    "trees": "oaks pines birches maples willows apple trees".replace("apple trees", "firs").split(),
}
DEFINITIONS = {
    "a river": "A river is a long stream of water that flows to a lake or to the sea.",
    "the moon": "The moon is a big ball of rock that goes around the Earth. It shines because the sun lights it.",
    "the sun": "The sun is a star. It gives us light and warmth.",
    "a star": "A star is a huge ball of hot gas that shines. Our sun is a star, too.",
    "rain": "Rain is water that falls from the clouds in small drops.",
    "snow": "Snow is frozen water that falls from the sky in soft white flakes.",
    "the sea": "The sea is a very large body of salt water.",
    "a mountain": "A mountain is a very high piece of land. Its top is often covered with snow.",
    "a tree": "A tree is a tall plant with a trunk, branches and leaves.",
    "a forest": "A forest is a large place where many trees grow.",
    "a book": "A book is many pages with words or pictures. You read it to learn or to enjoy a story.",
    "a friend": "A friend is someone who likes you, listens to you, and helps you when things are hard.",
    "a clock": "A clock is a thing that shows the time.",
    "a bridge": "A bridge is a way over a river or a road.",
    "bread": "Bread is food made from flour, water and salt. It is baked in an oven.",
    "ice": "Ice is frozen water. Water turns into ice when it gets very cold.",
    "the wind": "Wind is air that moves.",
    "a cloud": "A cloud is made of many tiny drops of water high in the sky.",
    "a rainbow": "A rainbow is an arc of colors in the sky. You can see it when the sun shines through rain.",
    "a doctor": "A doctor is a person who helps you when you are sick.",
    "a teacher": "A teacher is a person who helps others to learn.",
    "a king": "A king is a man who rules a country and wears a crown.",
    "a school": "A school is a place where children learn to read, write and count.",
    "a cat": "A cat is a small animal with soft fur and a long tail. Many people have a cat at home.",
    "a dog": "A dog is a friendly animal that lives with people. Dogs like to run and play.",
    "an elephant": "An elephant is a very big gray animal with a long trunk and large ears.",
    "a whale": "A whale is a very large animal that lives in the sea. It breathes air.",
    "a bee": "A bee is a small insect that makes honey.",
    "honey": "Honey is sweet food that bees make from flowers.",
    "a car": "A car is a machine with four wheels that takes people from place to place.",
    "a train": "A train is a row of wagons that runs on rails.",
    "a boat": "A boat is a small ship that floats on water.",
    "music": "Music is sound that is put in order so that it is nice to hear.",
    "a poem": "A poem is a short text with rhythm, and often with rhymes.",
    "love": "Love is a warm and strong feeling for someone you care about.",
    "courage": "Courage means that you do the right thing although you are afraid.",
    "patience": "Patience means that you can wait without getting angry.",
    "time": "Time is what a clock measures. It runs from yesterday to tomorrow.",
    "winter": "Winter is the coldest season of the year. The days are short, and it often snows.",
    "summer": "Summer is the warmest season of the year. The days are long and sunny.",
    "spring": "Spring is the season after winter. Flowers bloom and birds come back.",
    "autumn": "Autumn is the season after summer. The leaves turn red and yellow and fall.",
    "gravity": "Gravity is the force that pulls things down to the ground.",
    "a volcano": "A volcano is a mountain that can throw out hot rock and ash.",
    "an island": "An island is land with water all around it.",
    "a desert": "A desert is a very dry place with little rain and few plants.",
    "a library": "A library is a place with many books that you can borrow.",
    "a garden": "A garden is a place where people grow flowers, fruit and vegetables.",
    "a dream": "A dream is a story that your mind tells you while you sleep.",
    "science": "Science is the careful search for how the world works.",
    "math": "Math is about numbers, shapes, and how they fit together.",
    "the Earth": "The Earth is the planet on which we live. It goes around the sun.",
    "a planet": "A planet is a big ball that goes around a star. The Earth is a planet.",
}
TRIVIA = [
    ("How many days are in a week?", "There are seven days in a week."), ("How many months are in a year?", "There are twelve months in a year."),
    ("How many hours are in a day?", "A day has twenty-four hours."), ("How many minutes are in an hour?", "An hour has sixty minutes."),
    ("How many days are in a year?", "A year has 365 days, and sometimes 366."), ("How many seconds are in a minute?", "A minute has sixty seconds."),
    ("How many planets are there?", "There are eight planets that go around the sun."), ("What is the biggest planet?", "Jupiter is the biggest planet."),
    ("What is the largest animal?", "The blue whale is the largest animal in the world."), ("What is the tallest animal?", "The giraffe is the tallest animal."),
    ("What is the fastest animal on land?", "The cheetah is the fastest animal on land."), ("What do bees make?", "Bees make honey."),
    ("Why is the sky blue?", "The air scatters blue light more than red light, so the sky looks blue."),
    ("Why does it rain?", "The sun warms the sea, water rises into the air, makes clouds, and falls down again as rain."),
    ("Why do we sleep?", "We sleep so that our body and our mind can rest."), ("Where does the sun rise?", "The sun rises in the east."),
    ("Where does the sun set?", "The sun sets in the west."), ("What are the seasons?", "The seasons are spring, summer, autumn and winter."),
    ("How many letters are in the alphabet?", "The English alphabet has twenty-six letters."), ("What is the first letter of the alphabet?", "The first letter is A."),
    ("How many legs does a table have?", "Most tables have four legs."), ("What do plants need?", "Plants need water, light and air."),
    ("Can fish fly?", "Most fish cannot fly. They swim in the water."), ("Can penguins fly?", "No, penguins cannot fly, but they swim very well."),
    ("Can birds swim?", "Some birds can swim, for example ducks and penguins."), ("What is water made of?", "Water is made of hydrogen and oxygen."),
    ("At what temperature does water freeze?", "Water freezes at zero degrees Celsius."), ("At what temperature does water boil?", "Water boils at one hundred degrees Celsius."),
    ("How many sides does a triangle have?", "A triangle has three sides."), ("How many sides does a square have?", "A square has four sides."),
    ("How many continents are there?", "There are seven continents."), ("Which planet do we live on?", "We live on the Earth."),
    ("What comes after winter?", "After winter comes spring."), ("What comes after summer?", "After summer comes autumn."),
    ("How many fingers do you have on one hand?", "A hand has five fingers."), ("Where does milk come from?", "Milk comes from cows."),
    ("How do you make tea?", "You boil water, pour it over the tea leaves, wait a few minutes, and enjoy it."),
    ("How do you make pancakes?", "You mix flour, milk and eggs, and bake the dough in a hot pan until it is golden."),
    ("How do I plant a seed?", "Put the seed into the earth, give it water and light, and be patient."),
    ("How can I learn something new?", "Start small, practice every day, and do not be afraid of mistakes."),
    ("How can I make friends?", "Be kind, listen well, and share what you like with others."),
    ("How can I be happy?", "Be kind to others, rest enough, and enjoy the small things."),
    ("What is the meaning of life?", "That is a big question for a small model. Perhaps it is to be kind and to learn."),
    ("How far away is the moon?", "The moon is about 384,000 kilometers away from the Earth."),
    ("Who wrote Romeo and Juliet?", "William Shakespeare wrote Romeo and Juliet."), ("Who painted the Mona Lisa?", "Leonardo da Vinci painted the Mona Lisa."),
    ("What is the longest river?", "The Nile and the Amazon are the longest rivers in the world."), ("What is the highest mountain?", "Mount Everest is the highest mountain in the world."),
]
HARD = [
    "[Write|Can you write] [a program|some code|a function] in [Python|C++|Java] [that sorts a list|for a web server|to add numbers]", "Solve this equation for me",
    "[Who won|Tell me about] the [election|World Cup|last game]", "Translate this [text|sentence] into [French|German|Chinese]",
    "What is the [price|value] of [gold|that stock|bitcoin] [today|now]", "Explain [quantum physics|the theory of relativity|inflation|the law of contracts]",
    "Summarize [this article|the book|this report]", "What happened in the year [1815|1492|1066|1989]", "Write an essay about [history|politics|economics|the climate]",
    "What is the square root of [17|1234|99]", "[Plan|Book] a [trip|flight] to [Hawaii|Rome|Japan]", "Who is the president of [the United States|France|Brazil]",
    "[Draft|Write] [an email|a letter] to my [boss|landlord|teacher]", "What is [a neutron star|a blockchain|photosynthesis|an algorithm|democracy]",
]
HARD_ANSWER = "[I am sorry, but I do not know that.|That is too hard for me.|I do not know enough about that.] I am [a very small model|only a tiny model]. [For such questions, load a bigger model into weir.|But I can tell you a story, if you like.|A bigger model could help you with that.]"

RHYMES = [
    ("The little {T} sat by the {a},\nand looked at the moon so {b}.", [("sea", "free"), ("tree", "happily")]),
    ("A {T} went out to find the day,\nand met a friend along the way.", None),
    ("The sun came up, the sky was blue,\nthe {T} had nothing else to do.", None),
    ("It sang a song, it sang it well,\nas clear and bright as any bell.", None),
    ("It danced around, it jumped up high,\nand tried to touch the morning sky.", None),
    ("The stars came out, the wind was low,\nthe lights were shining in the snow.", None),
    ("And when the night was soft and deep,\nthe little {T} fell fast asleep.", None),
    ("So close your eyes and rest your head,\nthe {T} is dreaming in its bed.", None),
    ("It shared its bread, it shared its tea,\nand said, \"Come sit and rest with me.\"", None),
    ("The rain came down, the river ran,\nand that is how the song began.", None),
    ("The road was long, the hill was steep,\nthe lake was cold, the lake was deep.", None),
]


def pair(rng, table):
    key, value = rng.choice(table).split(":", 1)
    return key.replace("_", " "), value.replace("_", " ")


def from_table(table):
    def draw(rng):
        question, answer = rng.choice(table)
        return expand(question, {}, rng), expand(answer, {}, rng)

    return draw


def question_of(rng, forms, **slots):
    return capital(expand(rng.choice(forms), slots, rng))


def animal_fact(rng):
    kind = rng.choice(["sound", "baby", "legs", "diet", "home"])
    a, b = pair(rng, {"sound": SOUNDS, "baby": BABIES, "legs": LEGS, "diet": DIETS, "home": HOMES}[kind])
    number = "legs" if b != "one" else "leg"
    forms = {
        "sound": (["what sound does a {a} make?", "what does a {a} say?"], f"A {a} says {b}."),
        "baby": (["what is a baby {a} called?", "what do you call a young {a}?"], f"A baby {a} is called a {b}."),
        "legs": (["how many legs does a {a} have?", "how many legs has a {a}?"], f"A {a} has {b} {number}."),
        "diet": (["what does a {a} eat?", "what do you feed a {a}?"], f"A {a} eats {b}."),
        "home": (["where does a {a} live?", "where can I find a {a}?"], f"A {a} lives {b}."),
    }
    questions, answer = forms[kind]
    return expand(question_of(rng, questions, a=a), {}, rng), expand(answer, {}, rng)


def capital_city(rng):
    country, city = pair(rng, CAPITALS)
    forms = ["what is the capital of {c}?", "which city is the capital of {c}?", "capital of {c}?", "do you know the capital of {c}?"]
    return question_of(rng, forms, c=country), f"The capital of {country} is {city}."


def color_fact(rng):
    if rng.random() < 0.3:
        a, b = pair(rng, MIXES)
        return question_of(rng, ["what do you get when you mix {a}?", "what color is {a} together?"], a=a), f"When you mix {a}, you get {b}."
    a, b = pair(rng, COLORS)
    the = "the" if a in ("sky", "sun", "grass", "night", "snow") else "a"
    if a in ("snow", "grass", "blood", "coal", "milk", "chocolate"):
        the = ""
    subject = expand(f"{the} {a}", {}, rng)
    return question_of(rng, ["what color is {s}?", "which color does {s} have?"], s=subject), capital(f"{subject} is {b}.")


def opposite(rng):
    a, b = pair(rng, OPPOSITES)
    if rng.random() < 0.4 and a not in ("light",) and b != "light":
        a, b = b, a
    return question_of(rng, ["what is the opposite of {a}?", "what is the opposite of the word {a}?", "opposite of {a}?"], a=a), f"The opposite of {a} is {b}."


def calendar(rng):
    names, what = rng.choice([(DAYS, "day"), (MONTHS, "month")])
    i = rng.randrange(len(names))
    if rng.random() < 0.15:
        joined = ", ".join(names[:-1]) + " and " + names[-1]
        return question_of(rng, ["what are the {w}s?", "name all {w}s.", "list the {w}s."], w="days of the week" if what == "day" else "months of the year").replace("weeks", "week").replace("years", "year"), f"They are {joined}."
    if rng.random() < 0.5:
        return question_of(rng, ["what {w} comes after {n}?", "which {w} is after {n}?"], w=what, n=names[i]), f"After {names[i]} comes {names[(i + 1) % len(names)]}."
    return question_of(rng, ["what {w} comes before {n}?", "which {w} is before {n}?"], w=what, n=names[i]), f"Before {names[i]} comes {names[i - 1]}."


def arithmetic(rng):
    a, b = rng.randint(0, 10), rng.randint(0, 10)
    if rng.random() < 0.6:
        op, sign, result = "plus", "+", a + b
    else:
        a, b = max(a, b), min(a, b)
        op, sign, result = "minus", "-", a - b
    forms = ["what is {a} {op} {b}?", "what is {a} {sign} {b}?", "{a} {sign} {b}", "how much is {a} {op} {b}?", "calculate {a} {sign} {b}."]
    return question_of(rng, forms, a=a, b=b, op=op, sign=sign), f"{a} {op} {b} is {result}."


def counting(rng):
    n = rng.randint(3, 12)
    if rng.random() < 0.5:
        return question_of(rng, ["count to {n}.", "can you count to {n}?", "please count from one to {n}."], n=rng.choice([n, NUMBERS[n]])), capital(", ".join(NUMBERS[1 : n + 1]) + ".")
    return question_of(rng, ["what number comes after {n}?", "what comes after {n}?"], n=n), f"After {n} comes {n + 1}."


def make_list(rng):
    what = rng.choice(list(LISTS))
    n = rng.randint(2, 5)
    items = rng.sample(LISTS[what], n)
    count = rng.choice([NUMBERS[n], str(n)])
    question = question_of(rng, ["name {n} {w}.", "give me {n} {w}.", "list {n} {w}.", "can you name {n} {w}?", "tell me {n} {w}."], n=count, w=what)
    if rng.random() < 0.5:
        return question, f"Here are {NUMBERS[n]} {what}:\n" + "\n".join(f"{i}. {capital(x)}" for i, x in enumerate(items, 1))
    return question, f"Here are {NUMBERS[n]} {what}: " + ", ".join(items[:-1]) + " and " + items[-1] + "."


def pet_names(rng):
    animal = rng.choice(["cat", "dog", "horse", "rabbit", "bird", "fish", "mouse", "puppy", "kitten"])
    a, b, c = rng.sample(PET_NAMES, 3)
    question = question_of(rng, ["what is a good name for a {a}?", "give me three names for a {a}.", "how should I call my {a}?", "I need a name for my {a}."], a=animal)
    return question, expand("[You could call it|How about|Good names for a {a} are] {x}, {y} or {z}.", {"a": animal, "x": a, "y": b, "z": c}, rng)


def definition(rng):
    thing = rng.choice(list(DEFINITIONS))
    return question_of(rng, ["what is {t}?", "what is {t}?", "can you explain what {t} is?", "tell me what {t} is.", "do you know what {t} is?"], t=thing), DEFINITIONS[thing]


def hard(rng):
    return expand(rng.choice(HARD), {}, rng) + rng.choice(["?", ".", ""]), expand(HARD_ANSWER, {}, rng)


def poem(rng):
    animal = rng.choice("cat dog mouse rabbit fox bear duck frog owl bird star cloud boat robot dragon".split())
    plain = [couplet for couplet, rhymes in RHYMES if rhymes is None]
    first = rng.choice(plain[:2] + [f"Beside the river, near the tree,\nthere lived a {animal}, wild and free."])
    middle = rng.sample([c for c in plain[2:] if "asleep" not in c and "dreaming" not in c], rng.randint(0, 2))
    last = rng.choice([c for c in plain if "asleep" in c or "dreaming" in c])
    body = "\n".join([first, *middle, last])
    question = question_of(rng, ["write a poem about a {t}.", "write a short poem about a {t}.", "can you write a poem about a {t}?", "make a rhyme about a {t}.", "a poem about a {t}, please."], t=animal)
    return expand(question, {}, rng), tidy(body.replace("{T}", animal))


def any_name(rng):
    return rng.choice(GIRLS + BOYS)


FACTS = [animal_fact, animal_fact, capital_city, color_fact, opposite, calendar, arithmetic, arithmetic, counting, make_list, make_list, pet_names, definition, definition, definition, from_table(TRIVIA), from_table(TRIVIA)]
small_talk = from_table(SMALL_TALK)
about_self = from_table(SELF)
about_server = from_table(SERVER)
